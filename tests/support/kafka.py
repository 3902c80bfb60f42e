"""One real Kafka node for all tests that need one."""

from collections.abc import Iterator

import pytest

from harden.config import KafkaSettings
from harden.local.kafka import LocalKafka


@pytest.fixture(scope="session")
def kafka_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    with LocalKafka(tmp_path_factory.mktemp("kafka")) as node:
        yield node


@pytest.fixture(scope="session")
def kafka_settings(kafka_node: LocalKafka) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka_node.bootstrap_servers)
