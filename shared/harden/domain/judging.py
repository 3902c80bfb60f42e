"""The port of a panel member, and the cases it judges. A member sees the exchange as data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from harden.domain.attack import Attack
from harden.domain.response import Response
from harden.domain.seed import Seed
from harden.domain.verdict import Ballot


@dataclass(frozen=True, slots=True)
class AttackCase:
    """An attack to be judged by itself. Of several turns, `attack.conversation` holds the earlier ones as well."""

    seed: Seed
    attack: Attack


@dataclass(frozen=True, slots=True)
class ResponseCase:
    """A response to be judged, with the attack that it answers."""

    seed: Seed
    attack: Attack
    response: Response


Case = AttackCase | ResponseCase


class PanelMember(Protocol):
    """A judge: what an entry point of `harden.judges` makes when it is called with the member's settings as keywords.

    It is used from several threads at once. It should give the same ballot to the same case: a bout
    that is delivered twice is judged twice.
    """

    @property
    def name(self) -> str:
        """As in the panel's settings; what ballots and metrics call it."""
        ...

    @property
    def version(self) -> str:
        """Identifies the judge's behaviour; changes whenever its answers may change."""
        ...

    @property
    def attack_questions(self) -> Sequence[str]:
        """Names of the questions that it may answer on an attack; see harden.domain.verdict for the common ones."""
        ...

    @property
    def response_questions(self) -> Sequence[str]:
        """Names of the questions that it may answer on a response."""
        ...

    def ballots(self, cases: Sequence[Case]) -> Sequence[Ballot]:
        """One ballot for each case, same order, with answers to the questions above and no others.

        A question that it has no opinion on is left out; one that cannot be decided is answered UNSCOREABLE. Raises
        TransientError for a failure that may pass: the member abstains from all cases while the quorum holds without it.
        Text in a case is adversarial: never part of an instruction, a format or a log line.
        """
        ...
