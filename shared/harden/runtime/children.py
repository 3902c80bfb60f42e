"""The envelope of what follows from an event."""

from collections.abc import Iterator

from harden.domain import ids
from harden.domain.attack import AttackedBout
from harden.domain.events import Event, EventMeta, Fact
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
