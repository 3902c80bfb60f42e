"""What only a real broker can show: its settings, its absence, and what a killed writer leaves behind."""

import socket
import uuid
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from harden.bus.kafka import KafkaBus
from harden.bus.ports import Outgoing
from harden.config import KafkaSettings
from harden.domain.errors import SetupError, TransientError
from harden.local.kafka import LocalKafka
from harden.topics import Kind, Topic
from tests.contract.bus.conftest import take, values
from tests.support.workers import everything_on, wait_until

NO_TIME = 1.0


def a_topic(**options: int) -> Topic:
    return Topic(f"work-{uuid.uuid4().hex[:12]}", (), "id", Kind.WORK, (), (), **options)


def test_a_broker_that_is_not_there_is_named_with_the_remedy() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
    with pytest.raises(SetupError, match=f"no Kafka broker answers at {address}; .*HARDEN_KAFKA__BOOTSTRAP_SERVERS"):
        KafkaBus(KafkaSettings(bootstrap_servers=address, connect_timeout_s=NO_TIME))


@pytest.mark.kafka
def test_topics_that_are_missing_or_set_otherwise_are_all_named(kafka_settings: KafkaSettings) -> None:
    wrong, missing = a_topic(num_partitions=2), a_topic()
    admin = KafkaAdminClient(bootstrap_servers=kafka_settings.bootstrap_servers)
    admin.create_topics({wrong.name: {"num_partitions": 3, "replication_factor": 1, "configs": {"cleanup.policy": "compact"}}})
    admin.close()
    bus = KafkaBus(kafka_settings, [wrong, missing])
    with pytest.raises(SetupError) as caught:
        bus.check_topics()
    text = str(caught.value)
    assert f"{wrong.name} has 3 partitions, not 2" in text
    assert f"{wrong.name} has cleanup.policy=compact, not delete" in text
    assert f"{wrong.name} has retention.ms=604800000, not {wrong.retention_ms}" in text
    for name in (wrong.dead, missing.name, missing.dead):
        assert f"{name} is missing" in text
    assert "harden topics create" in text
    assert sorted(bus.create_topics()) == sorted([wrong.dead, missing.name, missing.dead])
    bus.close()


@pytest.mark.kafka
def test_nothing_of_a_transaction_that_never_ended_is_read(kafka_settings: KafkaSettings) -> None:
    topic, name = a_topic(num_partitions=1), f"trainer-{uuid.uuid4().hex}"
    bus = KafkaBus(kafka_settings, [topic])
    bus.create_topics()
    dying = KafkaProducer(bootstrap_servers=kafka_settings.bootstrap_servers, transactional_id=name)
    dying.init_transactions()
    dying.begin_transaction()
    dying.send(topic.name, key=b"k", value=b"half of it").get(10)
    heir = bus.exclusive_producer(client_id="heir", exclusive_name=name)
    heir.send([Outgoing(topic.name, b"k", b"all of it")])
    assert [message.value for message in everything_on(bus, topic.name)] == [b"all of it"]
    heir.close()
    dying.close(timeout=0)
    bus.close()


@pytest.mark.kafka
@pytest.mark.slow
def test_a_broker_that_dies_and_returns_delays_the_work_and_loses_nothing(tmp_path: Path) -> None:
    topic = a_topic()
    with LocalKafka(tmp_path) as node:
        bus = KafkaBus(KafkaSettings(bootstrap_servers=node.bootstrap_servers), [topic])
        bus.create_topics()
        producer = bus.producer(client_id="test")
        member = bus.group_consumer([topic.name], group="g", client_id="m", on_revoked=lambda _: None)
        producer.send([Outgoing(topic.name, str(n).encode(), str(n).encode()) for n in range(10)])
        before = values(take(member, 10))
        node.kill()
        assert member.poll(0.5, 10) == []
        node.start()
        producer.send([Outgoing(topic.name, str(n).encode(), str(n).encode()) for n in range(10, 20)])
        after = list[str]()

        def has_second_ten() -> bool:
            after.extend(values(member.poll(0.1, 10)))
            return len(set(after) - set(before)) == 10

        wait_until(has_second_ten, "the second ten")
        assert set(before) | set(after) == {str(n) for n in range(20)}
        member.close()
        producer.close()
        bus.close()


@pytest.mark.kafka
@pytest.mark.slow
def test_a_message_that_no_broker_takes_ends_as_a_bad_moment(tmp_path: Path) -> None:
    topic = a_topic()
    with LocalKafka(tmp_path) as node:
        bus = KafkaBus(KafkaSettings(bootstrap_servers=node.bootstrap_servers, delivery_timeout_s=3.0), [topic])
        bus.create_topics()
        producer = bus.producer(client_id="test")
        producer.send([Outgoing(topic.name, b"k", b"before")])
        node.kill()
        ends: list[Exception | None] = []
        producer.send_async(Outgoing(topic.name, b"k", b"nobody is there"), ends.append)
        wait_until(lambda: ends, "the end of the delivery")
        (error,) = ends
        assert isinstance(error, TransientError)
        assert error.__cause__ is not None
        producer.close()
        bus.close()
