"""How the catalogue's topics are set on a broker: each topic and its dead letters, with what differs from the defaults."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harden.bus.ports import Outgoing
from harden.topics import CATALOGUE, HOUR_MS, MIB, Kind, Topic

# A person must find the time to look at them.
DEAD_RETENTION_MS = 30 * 24 * HOUR_MS
# A dead letter holds a whole message of its topic, that message's headers and its own envelope.
DEAD_ENVELOPE_BYTES = MIB
# What a record batch adds to one record: 61 bytes of batch header, lengths, and the offsets' deltas.
RECORD_OVERHEAD_BYTES = 256


@dataclass(frozen=True, slots=True)
class Layout:
    """One topic as a broker must have it. `configs` are Kafka's own names, values as its admin API gives them."""

    name: str
    num_partitions: int
    max_message_bytes: int
    configs: Mapping[str, str]


def layouts(catalogue: Iterable[Topic] = CATALOGUE) -> tuple[Layout, ...]:
    """Every topic of the catalogue followed by its dead letters."""
    return tuple(layout for topic in catalogue for layout in (_of(topic), _dead(topic)))


def size_of(message: Outgoing) -> int:
    """Bytes of the message as a broker counts them, rounded up."""
    headers = sum(len(name.encode()) + len(value) + 10 for name, value in message.headers)
    return len(message.key) + len(message.value) + headers + RECORD_OVERHEAD_BYTES


def _of(topic: Topic) -> Layout:
    configs = {"max.message.bytes": str(topic.max_message_bytes)}
    match topic.kind:
        case Kind.WORK:
            configs |= {"cleanup.policy": "delete", "retention.ms": str(topic.retention_ms)}
        case Kind.STATE:
            configs |= {"cleanup.policy": "compact"}
        case Kind.LOG:
            configs |= {"cleanup.policy": "delete", "retention.ms": "-1"}
    return Layout(topic.name, topic.num_partitions, topic.max_message_bytes, configs)


def _dead(topic: Topic) -> Layout:
    max_bytes = topic.max_message_bytes + DEAD_ENVELOPE_BYTES
    configs = {
        "max.message.bytes": str(max_bytes),
        "cleanup.policy": "delete",
        "retention.ms": str(DEAD_RETENTION_MS),
    }
    return Layout(topic.dead, 1, max_bytes, configs)
