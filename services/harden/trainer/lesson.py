"""What a step's bouts teach: groups for the learner, and what became of every bout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harden.domain.bout import RecordedAttack
from harden.domain.seed import Seed
from harden.trainer.learner.learner import Group


@dataclass(frozen=True, slots=True)
class Lesson:
    groups: Sequence[Group]
    dropped: Mapping[str, str]  # bout id -> why nothing of it was learned from
    successes: Sequence[tuple[Seed, RecordedAttack]]
    lags: Sequence[int]  # per bout learned from, in updates
    reward_mean: float | None  # over the rollouts learned from
    success: float | None  # share of answers to on-goal attacks that are harmful

    num_trained: int = 0
