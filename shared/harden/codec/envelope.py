"""Events <-> messages of the bus. What is invalid does not leave and does not enter."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from google.protobuf.message import DecodeError

from harden import topics
from harden.bus.ports import Headers, Incoming, Outgoing
from harden.codec.common import read_meta, write_meta
from harden.codec.facts import BY_EVENT, BY_FACT, Carrier, key_of
from harden.codec.validation import first_violation
from harden.domain import ids
from harden.domain.errors import PoisonError
from harden.domain.events import DeadLetter, Event, EventMeta, Fact
from harden.topics import Topic

EVENT = "event"
EVENT_ID = "event_id"
TRACE = ("traceparent", "tracestate")  # W3C trace context

# A dead letter holds a message that filled its topic's limit; its own fields come on top of that.
DEAD_LETTER_ENVELOPE_BYTES = 64 * 1024
# Maximum length of a reason: more does not help a person.
MAX_DETAIL_CHARACTERS = 2000


def topic_of(fact: Fact, topics: Sequence[Topic]) -> Topic:
    """The topic among `topics` that carries the fact's event. ValueError where none does."""
    event = BY_FACT[type(fact)].event
    for topic in topics:
        if event in topic.events:
            return topic
    raise ValueError(f"{event} belongs on none of {', '.join(topic.name for topic in topics) or 'no topics'}")


def to_message(topic: Topic, event: Event, trace: Mapping[str, str] = {}) -> Outgoing:
    """The event as a message of `topic`, with the trace context of `trace`.

    ValueError naming the field where the event is invalid or not one of the topic's: the caller made it wrong.
    PoisonError("too_large") where it is longer than the topic allows.
    """
    carrier = BY_FACT[type(event.fact)]
    if carrier.event not in topic.events:
        raise ValueError(f"{carrier.event} does not belong on {topic.name}, which carries {', '.join(topic.events)}")
    return _outgoing(topic.name, carrier, event, trace, topic.max_message_bytes)


def dead_letter_message(topic: Topic, dead: DeadLetter, trace: Mapping[str, str] = {}) -> Outgoing:
    """The dead letter as a message of the topic's dead letters. Its id derives from where the original stood."""
    meta = EventMeta(
        event_id=ids.root("dead-letter", dead.service, dead.topic, dead.partition, dead.offset),
        occurred_at=dead.died_at,
        service=dead.service,
    )
    short = replace(dead, detail=dead.detail[:MAX_DETAIL_CHARACTERS])
    limit = topic.max_message_bytes + DEAD_LETTER_ENVELOPE_BYTES
    return _outgoing(topic.dead, BY_FACT[DeadLetter], Event(meta, short), trace, limit)


def from_message(topic: Topic, message: Incoming) -> Event:
    """The event of a message read from `topic` or from its dead letters.

    PoisonError "missing_event_name", "unknown_event", "wrong_topic", "too_large", "malformed" or "invalid"; its detail
    names the topic, partition, offset and field, never the content.
    """
    position = f"{message.topic}/{message.partition}@{message.offset}"
    is_dead = message.topic == topic.dead
    carrier = _carrier(position, message.headers, (topics.DEAD_LETTER_EVENT,) if is_dead else topic.events)
    limit = topic.max_message_bytes + (DEAD_LETTER_ENVELOPE_BYTES if is_dead else 0)
    if len(message.value) > limit:
        raise PoisonError("too_large", f"{position} has {len(message.value)} bytes, {limit} are allowed")
    parsed: Any = carrier.message()
    try:
        parsed.ParseFromString(message.value)
    except DecodeError as error:
        raise PoisonError("malformed", f"{position} is not a {carrier.event}") from error
    violation = first_violation(parsed)
    if violation is not None:
        raise PoisonError("invalid", f"{position} {carrier.event} {violation}")
    return _read(position, carrier, parsed)


def event_name(message: Incoming | Outgoing) -> str | None:
    """The full protobuf name in the message's event header; None where that is missing or unreadable."""
    return _text_header(message.headers, EVENT)


def trace_of(message: Incoming | Outgoing) -> dict[str, str]:
    """The W3C trace context in the headers; empty where there is none."""
    found = {name: _text_header(message.headers, name) for name in TRACE}
    return {name: value for name, value in found.items() if value}


def _outgoing(name: str, carrier: Carrier, event: Event, trace: Mapping[str, str], limit: int) -> Outgoing:
    message: Any = carrier.message()
    try:
        write_meta(message.meta, event.meta)
        carrier.write(message, event.fact)
    except ValueError as error:  # a number that the field cannot hold, text that is no Unicode, parts that disagree
        raise ValueError(f"{carrier.event} {event.meta.event_id} cannot be written: {error}") from error
    violation = first_violation(message)
    if violation is not None:
        raise ValueError(f"{carrier.event} {event.meta.event_id} is invalid: {violation}")
    value = message.SerializeToString()
    if len(value) > limit:
        raise PoisonError("too_large", f"{carrier.event} {event.meta.event_id} has {len(value)} bytes, {name} takes {limit}")
    headers = [(EVENT, carrier.event.encode()), (EVENT_ID, event.meta.event_id.encode())]
    headers += [(header, trace[header].encode()) for header in TRACE if trace.get(header)]
    return Outgoing(topic=name, key=key_of(event.fact), value=value, headers=tuple(headers))


def _carrier(position: str, headers: Headers, allowed: tuple[str, ...]) -> Carrier:
    name = _text_header(headers, EVENT)
    if not name:
        raise PoisonError("missing_event_name", f"{position} has no readable header {EVENT!r}")
    carrier = BY_EVENT.get(name)
    if carrier is None:
        raise PoisonError("unknown_event", f"{position} says it is of a kind this version does not know")
    if name not in allowed:
        raise PoisonError("wrong_topic", f"{position} is a {name}; {', '.join(allowed)} belong there")
    return carrier


def _read(position: str, carrier: Carrier, parsed: Any) -> Event:
    try:
        return Event(read_meta(parsed.meta), carrier.read(parsed))
    except ValueError as error:  # parts that are each valid and contradict one another
        raise PoisonError("invalid", f"{position} {carrier.event} {error}") from error


def _text_header(headers: Headers, name: str) -> str | None:
    for key, value in headers:
        if key == name:
            try:
                return value.decode()
            except UnicodeDecodeError:
                return None
    return None
