"""Facts as the messages a reader gets, for tests of what reading makes of them."""

from collections.abc import Callable
from typing import Any

from harden import codec, topics
from harden.bus.ports import Headers, Incoming, Outgoing
from harden.codec.facts import BY_EVENT, BY_FACT
from harden.domain.events import DeadLetter, Event, Fact
from harden.topics import Topic
from tests.support.facts import an_event

TOPIC_OF = {event: topic for topic in topics.CATALOGUE for event in topic.events}


def topic_of(fact: Fact) -> Topic:
    """The topic that carries the fact; for a dead letter the one the original stood on."""
    if isinstance(fact, DeadLetter):
        return topics.by_name(fact.topic)
    return TOPIC_OF[BY_FACT[type(fact)].event]


def sent(event: Event) -> Outgoing:
    topic = topic_of(event.fact)
    if isinstance(event.fact, DeadLetter):
        return codec.dead_letter_message(topic, event.fact)
    return codec.to_message(topic, event)


def arrived(message: Outgoing, *, value: bytes | None = None, headers: Headers | None = None) -> Incoming:
    """The message as polled, with another value or other headers where given."""
    return Incoming(
        topic=message.topic,
        partition=3,
        offset=41,
        key=message.key,
        value=message.value if value is None else value,
        headers=message.headers if headers is None else headers,
        timestamp_ms=1_700_000_000_000,
    )


def spoilt(fact: Fact, spoil: Callable[[Any], None]) -> Incoming:
    """The fact's message after `spoil` had its way with the protobuf, past every check of our own."""
    message = sent(an_event(fact))
    parsed = BY_EVENT[BY_FACT[type(fact)].event].message.FromString(message.value)
    spoil(parsed)
    return arrived(message, value=parsed.SerializeToString())
