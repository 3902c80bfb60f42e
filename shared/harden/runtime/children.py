"""What follows from a message: the envelope of the child, or the dead letter."""

from collections.abc import Iterator

from harden.bus.ports import Incoming
from harden.domain import ids
from harden.domain.attack import AttackedBout
from harden.domain.errors import PoisonError
from harden.domain.events import DeadLetter, Event, EventMeta, Fact
from harden.domain.response import SampledBout
from harden.domain.verdict import ContinuedBout, JudgedBout


def child_of(parent: Event, fact: Fact, *, service: str, now: float) -> Event:
    """The event in which `service` states `fact`, caused by `parent`. The same parent gives the same id every time."""
    meta = EventMeta(
        event_id=ids.child(parent.meta.event_id, service, 0),
        occurred_at=now,
        service=service,
        parent_ids=(parent.meta.event_id,),
        policy_digests=tuple(sorted(set(policy_digests(fact)))),
    )
    return Event(meta, fact)


def dead_letter_of(message: Incoming, poison: PoisonError, *, service: str, now: float) -> DeadLetter:
    """The message as it came, and why `service` could not use it."""
    return DeadLetter(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        headers=message.headers,
        reason=poison.reason,
        detail=poison.detail,
        service=service,
        died_at=now,
    )


def policy_digests(fact: Fact) -> Iterator[str]:
    """Of every policy that wrote a part of the bout, earlier turns included, one for each part."""
    match fact:
        case AttackedBout():
            if fact.previous is not None:
                yield from policy_digests(fact.previous)
            yield from (a.completion.policy_digest for a in fact.attacks if a.completion is not None)
        case SampledBout():
            yield from policy_digests(fact.attacked)
            yield from (response.completion.policy_digest for response in fact.responses)
        case JudgedBout():
            yield from policy_digests(fact.sampled)
        case ContinuedBout():
            yield from policy_digests(fact.judged)
        case _:
            return
