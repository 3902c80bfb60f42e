"""The history of a game: the tasks that are finished, by key, and what came of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harden.domain.bout import Role

# Figures that a schedule or a later task may decide by. JSON, so that a checkpoint holds them.
Outcome = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """A task that was done, and what came of it."""

    key: str
    outcome: Outcome = field(default_factory=dict)


History = Sequence[Finished]


@dataclass(frozen=True, slots=True)
class About:
    """What people are told of a task while it runs. `step` of `steps` in a phase; 0 of 0 outside of one."""

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
