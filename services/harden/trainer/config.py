"""Settings of the trainer. The experiment file defines the game."""

from pathlib import Path

from pydantic import Field

from harden.config import Section, ServiceConfig


class TrainerSettings(Section):
    experiment: Path = Path("experiments/demo.yaml")
    """The experiment file (YAML)."""
    run_dir: Path = Path("runs/demo")
    """Where progress, checkpoints and the figures of each round are written. A run found there is continued."""
    replicas: int = Field(1, ge=1, le=1000)
    """Triton replicas that must serve a policy before a phase that needs it begins."""
    seeds_timeout_s: float = Field(60.0, gt=0)
    """How long to wait for seeds of every category the experiment names."""


class TrainerConfig(ServiceConfig):
    trainer: TrainerSettings = TrainerSettings()
    """The trainer itself."""
