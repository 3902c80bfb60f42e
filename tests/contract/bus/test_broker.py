"""What a real broker does to its clients, and the simulated one as well: gaps, transactions, retention, records of others."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from harden.bus.kafka import KafkaBus
from harden.bus.ports import Bus, Outgoing, Partition
from harden.config import KafkaSettings
from harden.threads import OS_THREADS
from harden.topics import Kind, Topic
from tests.contract.bus.conftest import after, take, values
from tests.simulation.bus import Open, SimulatedBus
from tests.support.workers import wait_until


class Broker(Protocol):
    """What others do to the broker's only partition."""

    bus: Bus
    topic: Topic

    def transaction(self, name: str, values: Sequence[str]) -> Callable[[bool], None]:
        """Writes and leaves open; what it returns commits (True) or aborts."""
        ...

    def place(self, key: bytes | None, value: bytes | None) -> None: ...

    def expire(self, before: int) -> None: ...


@dataclass
class Simulated:
    bus: SimulatedBus
    topic: Topic

    def transaction(self, name: str, values: Sequence[str]) -> Callable[[bool], None]:
        opened = Open(self.bus, name)
        for value in values:
            opened.write(Outgoing(self.topic.name, b"k", value.encode()))
        return opened.end

    def place(self, key: bytes | None, value: bytes | None) -> None:
        message = Outgoing(self.topic.name, key, value or b"")  # type: ignore[arg-type]
        self.bus.place(message, Partition(self.topic.name, 0))

    def expire(self, before: int) -> None:
        self.bus.expire(Partition(self.topic.name, 0), before)


@dataclass
class Real:
    bus: KafkaBus
    topic: Topic
    servers: str

    def transaction(self, name: str, values: Sequence[str]) -> Callable[[bool], None]:
        producer = KafkaProducer(bootstrap_servers=self.servers, transactional_id=name)
        producer.init_transactions()
        producer.begin_transaction()
        for value in values:
            producer.send(self.topic.name, key=b"k", value=value.encode()).get(10)

        def end(commits: bool) -> None:
            if commits:
                producer.commit_transaction()
            else:
                producer.abort_transaction()
            producer.close()

        return end

    def place(self, key: bytes | None, value: bytes | None) -> None:
        producer = KafkaProducer(bootstrap_servers=self.servers)
        producer.send(self.topic.name, key=key, value=value).get(10)
        producer.close()

    def expire(self, before: int) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self.servers)
        admin.delete_records({TopicPartition(self.topic.name, 0): before})
        admin.close()


@pytest.fixture(params=["simulated", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    topic = Topic(f"work-{uuid.uuid4().hex[:12]}", (), "id", Kind.WORK, (), (), num_partitions=1)
    made: Broker
    if request.param == "simulated":
        made = Simulated(SimulatedBus(OS_THREADS, [topic]), topic)
    else:
        settings: KafkaSettings = request.getfixturevalue("kafka_settings")
        made = Real(KafkaBus(settings, [topic]), topic, settings.bootstrap_servers)
    made.bus.create_topics()
    yield made
    made.bus.close()


def send(broker: Broker, *texts: str) -> None:
    producer = broker.bus.producer(client_id="test")
    producer.send([Outgoing(broker.topic.name, b"k", text.encode()) for text in texts])
    producer.close()


def a_name() -> str:
    return f"writer-{uuid.uuid4().hex}"


def test_an_open_transaction_holds_readers_back_and_an_aborted_one_leaves_a_gap(broker: Broker) -> None:
    send(broker, "before")
    end = broker.transaction(a_name(), ["half", "of it"])
    send(broker, "after")
    reader = broker.bus.log_reader([broker.topic.name], client_id="r")
    assert values(take(reader, 1)) == ["before"]
    assert reader.poll(0.5, 10) == []
    end(False)
    (late,) = take(reader, 1)
    assert (late.value, late.offset) == (b"after", 3)
    reader.close()


def test_a_committed_transaction_is_read_whole_and_its_marker_is_nothing(broker: Broker) -> None:
    end = broker.transaction(a_name(), ["a", "b"])
    end(True)
    send(broker, "c")
    reader = broker.bus.log_reader([broker.topic.name], client_id="r")
    found = take(reader, 3)
    assert [(message.value, message.offset) for message in found] == [(b"a", 0), (b"b", 1), (b"c", 3)]
    wait_until(lambda: reader.poll(0.1, 10) == [] and reader.caught_up(), "the end of the log")
    reader.close()


def test_a_reader_has_caught_up_where_the_last_record_is_a_marker(broker: Broker) -> None:
    broker.transaction(a_name(), ["a"])(True)
    reader = broker.bus.log_reader([broker.topic.name], client_id="r")
    take(reader, 1)
    wait_until(lambda: reader.poll(0.1, 10) == [] and reader.caught_up(), "the end of the log")
    assert reader.position() == {Partition(broker.topic.name, 0): 2}
    reader.close()


def test_the_heir_of_a_writer_ends_what_that_one_left_open(broker: Broker) -> None:
    name = a_name()
    broker.transaction(name, ["half"])
    heir = broker.bus.exclusive_producer(client_id="heir", exclusive_name=name)
    heir.send([Outgoing(broker.topic.name, b"k", b"whole")])
    reader = broker.bus.log_reader([broker.topic.name], client_id="r")
    assert values(take(reader, 1)) == ["whole"]
    reader.close()
    heir.close()


def test_a_reader_whose_place_is_gone_goes_on_with_the_oldest_record(broker: Broker) -> None:
    send(broker, *"abcdef")
    broker.expire(4)
    reader = broker.bus.log_reader([broker.topic.name], client_id="r", start={Partition(broker.topic.name, 0): 1})
    assert values(take(reader, 2)) == ["e", "f"]
    reader.close()


def test_a_group_whose_place_is_gone_goes_on_with_the_oldest_record(broker: Broker) -> None:
    send(broker, *"abcdef")
    group = f"{broker.topic.name}.g"
    first = broker.bus.group_consumer([broker.topic.name], group=group, client_id="m", on_revoked=lambda _: None)
    first.commit(after(take(first, 6)[:2]))
    first.close()
    broker.expire(4)
    second = broker.bus.group_consumer([broker.topic.name], group=group, client_id="m", on_revoked=lambda _: None)
    assert values(take(second, 2)) == ["e", "f"]
    second.close()


def test_records_without_key_or_value_arrive_as_such(broker: Broker) -> None:
    broker.place(None, b"no key")
    broker.place(b"tombstone", None)
    reader = broker.bus.log_reader([broker.topic.name], client_id="r")
    found = take(reader, 2)
    assert [(message.key, message.value) for message in found] == [(None, b"no key"), (b"tombstone", b"")]
    reader.close()
