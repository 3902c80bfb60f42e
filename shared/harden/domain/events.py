"""What crosses a topic: a fact with its envelope. The codec turns these into bytes and back."""

from dataclasses import dataclass

from harden.domain.attack import AttackedBout
from harden.domain.bout import Bout
from harden.domain.policy import PolicyPublished, PolicyRefused, PolicyRetired, PolicyServed
from harden.domain.response import SampledBout
from harden.domain.round import BestResponseFinished, CrossPlayFinished, RoundFinished, RunFinished, SideRunFinished
from harden.domain.seed import Seed
from harden.domain.step import StepFinished
from harden.domain.verdict import ContinuedBout, JudgedBout


@dataclass(frozen=True, slots=True)
class EventMeta:
    """The producer of an event, its time and its cause. `event_id` is derived, so a redelivered cause repeats it."""

    event_id: str
    occurred_at: float  # Unix seconds
    service: str
    parent_ids: tuple[str, ...] = ()
    policy_digests: tuple[str, ...] = ()  # of every policy that produced part of this


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message its reader could not use: the bytes as they came, why, and where they stood."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    reason: str
    detail: str
    service: str
    died_at: float


Fact = (
    Seed | Bout | ContinuedBout | AttackedBout | SampledBout | JudgedBout
    | PolicyPublished | PolicyRetired | PolicyServed | PolicyRefused
    | StepFinished | RoundFinished | SideRunFinished | BestResponseFinished | CrossPlayFinished | RunFinished | DeadLetter
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    meta: EventMeta
    fact: Fact
