"""A real Kafka, and a real Triton beside it, for as long as a benchmark runs."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harden.bus.kafka import KafkaBus
from harden.config import KafkaSettings
from harden.domain.policy import Slot
from harden.local.kafka import LocalKafka
from harden.local.triton import LocalTriton
from harden.store.object_store import ObjectStore
from harden.store.signing import Signer, generate_keypair
from tests.support.policies import Publishing


@dataclass(frozen=True)
class KafkaSite:
    settings: KafkaSettings
    bus: KafkaBus


@dataclass(frozen=True)
class TritonSite:
    """`publishing` is the trainer's side: it publishes policies and hears what becomes of them."""

    server: LocalTriton
    publishing: Publishing


@contextmanager
def kafka_site(scratch: Path) -> Iterator[KafkaSite]:
    with LocalKafka(scratch / "kafka") as node:
        settings = KafkaSettings(bootstrap_servers=node.bootstrap_servers)
        bus = KafkaBus(settings)
        try:
            bus.create_topics()
            yield KafkaSite(settings, bus)
        finally:
            bus.close()


@contextmanager
def triton_site() -> Iterator[TritonSite]:
    """Serves the defender's slot, which has no policy yet."""
    with tempfile.TemporaryDirectory(prefix="harden-bench-") as name:
        scratch = Path(name)
        signing_key, verify_key = generate_keypair(scratch / "keys")
        store = str(scratch / "store")
        with kafka_site(scratch) as kafka:
            environment = {
                "HARDEN_KAFKA__BOOTSTRAP_SERVERS": kafka.settings.bootstrap_servers,
                "HARDEN_STORE__URI": store,
                "HARDEN_KEYS__VERIFY_KEY_FILES": json.dumps([str(verify_key)]),
            }
            with LocalTriton(scratch / "triton", [Slot.DEFENDER], environment) as server:
                publishing = Publishing(kafka.bus, ObjectStore(store), Signer(signing_key))
                try:
                    yield TritonSite(server, publishing)
                finally:
                    publishing.close()
