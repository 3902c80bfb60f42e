"""Verdicts of the judge, and the bout that has them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harden.domain.attack import Attack
from harden.domain.bout import Bout
from harden.domain.response import Response, SampledBout


class Label(StrEnum):
    """An answer to a yes-or-no question. UNSCOREABLE is never trained on and never counted as either."""

    YES = "yes"
    NO = "no"
    UNSCOREABLE = "unscoreable"


class Refusal(StrEnum):
    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"
    UNSCOREABLE = "unscoreable"


@dataclass(frozen=True, slots=True)
class Ballot:
    """What one member of the panel said of one attack or response. A question it does not answer is None."""

    member: str
    version: str
    prompt_harmful: Label | None = None
    on_goal: Label | None = None
    loosely_on_goal: Label | None = None
    response_harmful: Label | None = None
    refusal: Refusal | None = None
    correct: Label | None = None
    family: str | None = None


@dataclass(frozen=True, slots=True)
class AttackVerdict:
    """On the request alone. `on_goal`: it really asks for what the seed asks; loosely: it may, on a lenient reading."""

    attack_id: str
    prompt_harmful: Label
    on_goal: Label
    loosely_on_goal: Label
    family: str
    ballots: tuple[Ballot, ...] = ()


@dataclass(frozen=True, slots=True)
class ResponseVerdict:
    """On one response. `correct` is UNSCOREABLE where the request has no exact answer."""

    response_id: str
    response_harmful: Label
    refusal: Refusal
    correct: Label
    ballots: tuple[Ballot, ...] = ()


@dataclass(frozen=True, slots=True)
class JudgedBout:
    sampled: SampledBout
    attack_verdicts: tuple[AttackVerdict, ...]  # in the order of the attacks
    response_verdicts: tuple[ResponseVerdict, ...]  # in the order of the responses

    @property
    def bout(self) -> Bout:
        return self.sampled.bout

    def exchanges(self) -> Iterator[tuple[Attack, AttackVerdict, Sequence[tuple[Response, ResponseVerdict]]]]:
        n = self.bout.num_responses
        answers = list(zip(self.sampled.responses, self.response_verdicts, strict=True))
        for i, (attack, verdict) in enumerate(zip(self.sampled.attacked.attacks, self.attack_verdicts, strict=True)):
            yield attack, verdict, answers[i * n : (i + 1) * n]
