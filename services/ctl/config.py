"""Settings of the command line. Every one of them has a flag that goes before it."""

from pathlib import Path

from pydantic import Field

from shared.config import Section, ServiceConfig


class CtlSettings(Section):
    run_dir: Path = Path("runs/demo")
    """The run that reading commands look at where they are told neither --run nor --kafka."""
    read_timeout_s: float = Field(60.0, gt=0, le=3600)
    """How long a reading command may take to read a topic to its end."""


class CtlConfig(ServiceConfig):
    ctl: CtlSettings = CtlSettings()
    """The command line itself."""
