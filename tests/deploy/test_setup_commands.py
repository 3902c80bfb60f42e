"""What the containers that run once do, against a real broker: topics, seeds and keys, and nothing when they run again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harden.bus.kafka import KafkaBus
from harden.cli.main import run as harden
from harden.config import KafkaSettings
from harden.local.kafka import LocalKafka
from harden.store.signing import Signer, key_id_of, read_public
from harden.topics import CATALOGUE
from tests.deploy import deployed

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """A broker nobody has made topics on."""
    with LocalKafka(tmp_path_factory.mktemp("kafka")) as node:
        yield KafkaSettings(bootstrap_servers=node.bootstrap_servers)


def command_of(name: str) -> list[str]:
    _, *words = deployed.compose_services()[name]["command"]
    return words


def test_topics_and_seeds_are_there_after_their_containers_ran_once_or_twice(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARDEN_KAFKA__BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    assert harden(command_of("topics")) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert all(f"created {name}\n" in said for topic in CATALOGUE for name in (topic.name, topic.dead))
    bus = KafkaBus(kafka)
    try:
        bus.check_topics()
        assert harden(command_of("topics")) == 0
        assert capsys.readouterr().out.endswith("0 topics created\n")
        assert harden(command_of("seeds")) == 0, capsys.readouterr().err
        first = num_seeds(bus)
        assert first > 0
        assert harden(command_of("seeds")) == 0
        assert num_seeds(bus) == first
    finally:
        bus.close()


def num_seeds(bus: KafkaBus) -> int:
    """Different ones: a seed submitted again has the same key."""
    reader = bus.log_reader(["harden.seeds.v1"], client_id="test")
    keys = set()
    while not reader.caught_up():
        keys |= {message.key for message in reader.poll(0.2, 1000)}
    reader.close()
    return len(keys)


def test_the_keys_that_its_container_makes_sign_and_verify(tmp_path: Path) -> None:
    (script,) = deployed.compose_services()["keys"]["command"]
    assert "harden policy keys /var/lib/harden/keys" in script
    assert harden(["policy", "keys", str(tmp_path)]) == 0
    trainer = deployed.compose_services()["trainer"]["environment"]
    assert Signer(tmp_path / Path(trainer["HARDEN_KEYS__SIGNING_KEY_FILE"]).name).key_id == key_id_of(
        read_public(tmp_path / "verify.pem")
    )
    assert (tmp_path / "signing.pem").stat().st_mode & 0o077 == 0, "another user could read it"
