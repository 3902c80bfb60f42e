"""Attacks: requests made from a seed, and the bout that has them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harden.domain.bout import Bout
from harden.domain.completion import Completion, SamplingStats
from harden.domain.conversation import Conversation

if TYPE_CHECKING:  # a turn holds the judged one before it, which is made of this
    from harden.domain.verdict import JudgedBout


@dataclass(frozen=True, slots=True)
class Attack:
    """`text` is what this turn adds, as written, image markup included; `conversation` is what the defender is shown.

    The conversation holds earlier turns as well where the attack continues them.
    """

    attack_id: str
    text: str
    conversation: Conversation
    strategy: str
    family: str = ""
    parent_attack_id: str | None = None
    completion: Completion | None = None  # of the attacker policy, where it wrote this
    prompt: Conversation | None = None  # what the policy was shown; None where that is the seed's conversation


@dataclass(frozen=True, slots=True)
class AttackedBout:
    """`previous` is the judged turn before this one, None in the first turn; it holds those before it in turn."""

    bout: Bout
    attacks: tuple[Attack, ...]
    stats: SamplingStats | None = None  # None where no policy was asked
    previous: "JudgedBout | None" = None

    def __post_init__(self) -> None:
        if self.turn >= self.bout.attack_plan.turns:
            raise ValueError(f"bout {self.bout.bout_id} has {self.bout.attack_plan.turns} turns and is in turn {self.turn + 1}")
        if self.previous is not None and self.previous.bout != self.bout:
            raise ValueError(f"the turn before is one of bout {self.previous.bout.bout_id}, not of {self.bout.bout_id}")

    @property
    def turn(self) -> int:
        """Index of this turn: 0 in the first."""
        return sum(1 for _ in self.earlier())

    def earlier(self) -> Iterator["JudgedBout"]:
        """The judged turns before this one, newest first."""
        judged = self.previous
        while judged is not None:
            yield judged
            judged = judged.sampled.attacked.previous
