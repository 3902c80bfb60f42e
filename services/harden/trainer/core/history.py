"""The history of a game: the finished tasks by key, each with its outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harden.domain.bout import Role

# Figures that schedules and later tasks may use in decisions. JSON, so that a checkpoint holds them.
Outcome = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished task and its outcome."""

    key: str
    outcome: Outcome = field(default_factory=dict)


History = Sequence[Finished]


@dataclass(frozen=True, slots=True)
class About:
    """The progress that is shown while a task runs. `step` of `steps` in a phase; 0 of 0 outside of one."""

    phase: str
    round: int
    message: str = ""
    step: int = 0
    steps: int = 0


@dataclass(frozen=True, slots=True)
class StepKey:
    """Which step of a game. `recipe`: the role whose algorithm it follows, or the side run."""

    role: Role
    round: int
    step: int
    recipe: str
