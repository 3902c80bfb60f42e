"""Every bus the contract is held to, with topics of its own for each test."""

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from harden.bus.kafka import KafkaBus
from harden.bus.memory import MemoryBus
from harden.bus.ports import Bus, GroupConsumer, Incoming, LogReader, Outgoing, Partition
from harden.config import KafkaSettings
from harden.threads import OS_THREADS
from harden.topics import Kind, Topic
from tests.simulation.bus import SimulatedBus
from tests.support.workers import wait_until

MAX_POLL_INTERVAL_S = 2.0
MAX_MESSAGE_BYTES = 100_000
NUM_PARTITIONS = 4


@dataclass
class Harness:
    """A bus with one work topic `work`, one state topic `state`, and shorthands for what tests do with them."""

    bus: Bus
    work: Topic
    state: Topic
    _clients: list[GroupConsumer | LogReader] = field(default_factory=list)
    _names: Iterator[int] = field(default_factory=itertools.count)

    def send(self, *values: str, key: str | None = None) -> None:
        producer = self.bus.producer(client_id="test")
        producer.send([self.message(value, key=key) for value in values])
        producer.close()

    def message(self, value: str, *, key: str | None = None) -> Outgoing:
        return Outgoing(self.work.name, (key or value).encode(), value.encode(), (("n", b"1"),))

    def member(self, group: str, on_revoked: Callable[[frozenset[Partition]], None] = lambda _: None) -> GroupConsumer:
        consumer = self.bus.group_consumer(
            [self.work.name], group=f"{self.work.name}.{group}", client_id=f"member-{next(self._names)}", on_revoked=on_revoked
        )
        self._clients.append(consumer)
        return consumer

    def reader(self, start: dict[Partition, int] | None = None) -> LogReader:
        reader = self.bus.log_reader([self.work.name], client_id="reader", start=start)
        self._clients.append(reader)
        return reader

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.bus.close()


@dataclass
class Polling:
    """A member polled by a thread of its own, as in a process of its own."""

    consumer: GroupConsumer
    found: list[Incoming] = field(default_factory=list)

    @contextmanager
    def __call__(self) -> Iterator["Polling"]:
        stop = threading.Event()

        def poll() -> None:
            while not stop.is_set():
                self.found.extend(self.consumer.poll(0.05, 100))

        thread = threading.Thread(target=poll, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join()


def take(consumer: GroupConsumer | LogReader, count: int) -> list[Incoming]:
    """Exactly `count` messages, however many polls that takes."""
    found: list[Incoming] = []

    def has_enough() -> bool:
        found.extend(consumer.poll(0.1, count - len(found)))
        return len(found) >= count

    wait_until(has_enough, f"{count} messages")
    return found


def values(messages: list[Incoming]) -> list[str]:
    return [message.value.decode() for message in messages]


def after(messages: list[Incoming]) -> dict[Partition, int]:
    """What to commit when all of them are done."""
    reached: dict[Partition, int] = {}
    for message in messages:
        partition = Partition(message.topic, message.partition)
        reached[partition] = max(reached.get(partition, 0), message.offset + 1)
    return reached


@pytest.fixture(params=["memory", "simulated", pytest.param("kafka", marks=pytest.mark.kafka)])
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    name = uuid.uuid4().hex[:12]
    options = {"num_partitions": NUM_PARTITIONS, "max_message_bytes": MAX_MESSAGE_BYTES}
    work = Topic(f"work-{name}", (), "id", Kind.WORK, (), (), **options)
    state = Topic(f"state-{name}", (), "id", Kind.STATE, (), (), **options)
    bus: Bus
    if request.param == "memory":
        bus = MemoryBus([work, state], max_poll_interval_s=MAX_POLL_INTERVAL_S)
    elif request.param == "simulated":
        bus = SimulatedBus(OS_THREADS, [work, state], max_poll_interval_s=MAX_POLL_INTERVAL_S)
    else:
        settings: KafkaSettings = request.getfixturevalue("kafka_settings")
        short = {"session_timeout_s": 6.0, "max_poll_interval_s": MAX_POLL_INTERVAL_S}
        bus = KafkaBus(settings.model_copy(update=short), [work, state])
    bus.create_topics()
    harness = Harness(bus, work, state)
    yield harness
    harness.close()
