"""One real Triton beside one real Kafka and a store of files, for all tests that need them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harden.bus.kafka import KafkaBus
from harden.config import KafkaSettings
from harden.domain.policy import Slot
from harden.local.triton import LocalTriton
from harden.serving.triton_client import TritonPolicies
from harden.store.object_store import ObjectStore
from harden.store.signing import Signer, generate_keypair
from tests.support.policies import Publishing

SLOTS = (Slot.ATTACKER, Slot.DEFENDER)


def triton_environment(bootstrap_servers: str, store: str, verify_key: Path) -> dict[str, str]:
    return {
        "HARDEN_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
        "HARDEN_STORE__URI": store,
        "HARDEN_KEYS__VERIFY_KEY_FILES": json.dumps([str(verify_key)]),
    }


@dataclass
class TritonSite:
    """A server with a trainer's side of it: `publishing` publishes, `policies` asks."""

    server: LocalTriton
    publishing: Publishing
    policies: TritonPolicies


@pytest.fixture(scope="session")
def triton_site(kafka_settings: KafkaSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonSite]:
    root = tmp_path_factory.mktemp("triton")
    signing_key, verify_key = generate_keypair(root / "keys")
    store = str(root / "store")
    bus = KafkaBus(kafka_settings)
    bus.create_topics()
    environment = triton_environment(kafka_settings.bootstrap_servers, store, verify_key)
    with LocalTriton(root, SLOTS, environment) as server:
        publishing = Publishing(bus, ObjectStore(store), Signer(signing_key))
        policies = TritonPolicies(server.grpc_url)
        yield TritonSite(server, publishing, policies)
        policies.close()
        publishing.close()
    bus.close()
