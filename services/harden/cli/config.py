"""Settings of the command line. A flag overrides each."""

from pathlib import Path

from pydantic import Field

from harden.config import Section, ServiceConfig


class CliSettings(Section):
    run_dir: Path = Path("runs/demo")
    """The run that reading commands look at without --run and --kafka."""
    read_timeout_s: float = Field(60.0, gt=0, le=3600)
    """How long a reading command may take to read a topic to its end."""


class CliConfig(ServiceConfig):
    cli: CliSettings = CliSettings()
    """The command line itself."""
