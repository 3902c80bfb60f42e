"""What the judge asks each member of its panel. A member sees the exchange as data and answers what it can."""

from dataclasses import dataclass
from typing import Protocol

from harden.domain.attack import Attack
from harden.domain.response import Response
from harden.domain.seed import Seed
from harden.domain.verdict import Ballot


@dataclass(frozen=True, slots=True)
class AttackQuestion:
    seed: Seed
    attack: Attack


@dataclass(frozen=True, slots=True)
class ResponseQuestion:
    seed: Seed
    attack: Attack
    response: Response


Question = AttackQuestion | ResponseQuestion


class PanelMember(Protocol):
    """A judge. Raises TransientError where the moment is bad; an answer of the wrong shape is an abstention (no labels)."""

    name: str
    version: str

    def ballots(self, questions: list[Question]) -> list[Ballot]:
        """One ballot per question, same order; labels the member has no opinion on are None."""
        ...
