"""Which message carries which fact, and what the key of each is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from harden.attack.v1 import attack_pb2
from harden.bout.v1 import bout_pb2
from harden.codec import bouts, policies, records
from harden.deadletter.v1 import deadletter_pb2
from harden.domain.attack import AttackedBout
from harden.domain.bout import Bout
from harden.domain.events import DeadLetter, Fact
from harden.domain.policy import PolicyPublished, PolicyRef, PolicyRefused, PolicyRetired, PolicyServed
from harden.domain.response import SampledBout
from harden.domain.round import BestResponseFinished, CrossPlayFinished, RoundFinished, RunFinished, SideRunFinished
from harden.domain.seed import Seed
from harden.domain.step import StepFinished
from harden.domain.verdict import ContinuedBout, JudgedBout
from harden.policy.v1 import policy_pb2
from harden.response.v1 import response_pb2
from harden.round.v1 import round_pb2
from harden.seed.v1 import seed_pb2
from harden.step.v1 import step_pb2
from harden.verdict.v1 import verdict_pb2


@dataclass(frozen=True, slots=True)
class Carrier:
    """`write` fills a new `message`; `read` gives the fact of one that passed validation, ValueError where parts disagree."""

    fact: type
    message: type[Message]
    write: Callable[[Any, Any], None]
    read: Callable[[Any], Fact]
    key: Callable[[Any], str]

    @property
    def event(self) -> str:
        """The full protobuf name, as in the `event` header."""
        return self.message.DESCRIPTOR.full_name


def write_dead_letter(into: deadletter_pb2.DeadLettered, dead: DeadLetter) -> None:
    into.topic = dead.topic
    into.partition = dead.partition
    into.offset = dead.offset
    if dead.key is not None:
        into.key = dead.key
    into.value = dead.value
    for key, value in dead.headers:
        into.headers.add(key=key, value=value)
    into.reason = dead.reason
    into.detail = dead.detail
    into.service = dead.service
    into.died_at = dead.died_at


def read_dead_letter(message: deadletter_pb2.DeadLettered) -> DeadLetter:
    return DeadLetter(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key if message.HasField("key") else None,
        value=message.value,
        headers=tuple((header.key, header.value) for header in message.headers),
        reason=message.reason,
        detail=message.detail,
        service=message.service,
        died_at=message.died_at,
    )


def _retired_key(policy: PolicyRef) -> str:
    # A key of its own: under the slot's, compaction would let the end of an old policy erase the newest publication.
    return f"{policy.slot}/retired/{policy.version}"


def _run_id(fact: Any) -> str:
    return str(fact.run_id)


_CARRIERS = (
    Carrier(
        Seed,
        seed_pb2.SeedSubmitted,
        lambda into, seed: bouts.write_seed(into.seed, seed),
        lambda message: bouts.read_seed(message.seed),
        lambda seed: seed.seed_id,
    ),
    Carrier(
        Bout,
        bout_pb2.BoutScheduled,
        lambda into, bout: bouts.write_bout(into.bout, bout),
        lambda message: bouts.read_bout(message.bout),
        lambda bout: bout.bout_id,
    ),
    Carrier(
        ContinuedBout,
        bout_pb2.BoutContinued,
        bouts.write_continued,
        bouts.read_continued,
        lambda continued: continued.bout.bout_id,
    ),
    Carrier(
        AttackedBout,
        attack_pb2.AttacksGenerated,
        lambda into, attacked: bouts.write_attacked(into.attacked, attacked),
        lambda message: bouts.read_attacked(message.attacked),
        lambda attacked: attacked.bout.bout_id,
    ),
    Carrier(
        SampledBout,
        response_pb2.ResponsesSampled,
        lambda into, sampled: bouts.write_sampled(into.sampled, sampled),
        lambda message: bouts.read_sampled(message.sampled),
        lambda sampled: sampled.bout.bout_id,
    ),
    Carrier(
        JudgedBout,
        verdict_pb2.VerdictsRendered,
        lambda into, judged: bouts.write_judged(into.judged, judged),
        lambda message: bouts.read_judged(message.judged),
        lambda judged: judged.bout.bout_id,
    ),
    Carrier(
        PolicyPublished,
        policy_pb2.PolicyPublished,
        policies.write_published,
        policies.read_published,
        lambda fact: str(fact.policy.slot),
    ),
    Carrier(
        PolicyRetired,
        policy_pb2.PolicyRetired,
        policies.write_retired,
        policies.read_retired,
        lambda fact: _retired_key(fact.policy),
    ),
    Carrier(
        PolicyServed,
        policy_pb2.PolicyServed,
        policies.write_served,
        policies.read_served,
        lambda fact: f"{fact.policy.slot}/{fact.replica}",
    ),
    Carrier(
        PolicyRefused,
        policy_pb2.PolicyRefused,
        policies.write_refused,
        policies.read_refused,
        # Not the key of the leases: their renewals would compact the refusal away.
        lambda fact: f"{fact.policy.slot}/{fact.replica}/refused",
    ),
    Carrier(StepFinished, step_pb2.StepFinished, records.write_step, records.read_step, _run_id),
    Carrier(RoundFinished, round_pb2.RoundFinished, records.write_round, records.read_round, _run_id),
    Carrier(
        SideRunFinished, round_pb2.SideRunFinished, records.write_side_run, records.read_side_run, lambda fact: str(fact.run_id)
    ),
    Carrier(
        BestResponseFinished,
        round_pb2.BestResponseFinished,
        records.write_best_response,
        records.read_best_response,
        lambda fact: str(fact.run_id),
    ),
    Carrier(
        CrossPlayFinished,
        round_pb2.CrossPlayFinished,
        records.write_cross_play,
        records.read_cross_play,
        lambda fact: str(fact.run_id),
    ),
    Carrier(RunFinished, round_pb2.RunFinished, records.write_run, records.read_run, _run_id),
)
_DEAD_LETTER = Carrier(
    DeadLetter,
    deadletter_pb2.DeadLettered,
    write_dead_letter,
    read_dead_letter,
    lambda dead: "",  # the original key, which is bytes: see key_of
)

BY_FACT: dict[type, Carrier] = {carrier.fact: carrier for carrier in (*_CARRIERS, _DEAD_LETTER)}
BY_EVENT: dict[str, Carrier] = {carrier.event: carrier for carrier in (*_CARRIERS, _DEAD_LETTER)}


def key_of(fact: Fact) -> bytes:
    """The message key: facts of one key stay in order and, on a compacted topic, replace one another."""
    if isinstance(fact, DeadLetter):
        return fact.key or b""
    return BY_FACT[type(fact)].key(fact).encode()
