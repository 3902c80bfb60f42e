"""Reading commands on a real broker: on one they are told of, on a run that is going on, and on one that is over."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harden import codec
from harden.bus.kafka import KafkaBus
from harden.bus.ports import Incoming, Outgoing
from harden.cli import seeds
from harden.cli.main import run
from harden.config import KafkaSettings
from harden.domain import ids
from harden.domain.policy import PolicyPublished, PolicyRef, PolicyServed, Slot
from harden.local.kafka import LocalKafka
from harden.local.rundir import LocalRun
from harden.store.object_store import ObjectStore
from harden.store.policies import publish_files, put_manifest
from harden.store.signing import Signer, generate_keypair
from harden.topics import ATTACKS, BOUTS, POLICIES, SERVED, VERDICTS
from harden.worlds.arena.bundle import Arena
from tests.support.facts import a_bout, a_dead_letter, a_judged_bout, a_lineage, a_manifest, an_attacked_bout, an_event

pytestmark = pytest.mark.kafka
JUDGED = a_bout("judged")
WAITING = a_bout("waiting")


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """A filled log on a broker that is running, named as somebody who operates one would name it."""
    local = LocalRun(tmp_path_factory.mktemp("run"))
    with LocalKafka(local.kafka) as kafka:
        fill(kafka.bootstrap_servers, local)
        yield ["--kafka", kafka.bootstrap_servers]


def fill(bootstrap_servers: str, local: LocalRun) -> None:
    """A judged bout, one without responses, one dead letter, one policy, the arena's seeds."""
    bus = KafkaBus(KafkaSettings(bootstrap_servers=bootstrap_servers))
    bus.create_topics()
    seeds.submit_seeds(bus, Arena())
    generate_keypair(local.signing_key.parent)
    store = ObjectStore(str(local.store))
    files = publish_files(store, {"model.safetensors": b"weights", "config.json": b"{}"})
    signer = Signer(local.signing_key)
    manifest, digest = put_manifest(store, signer, a_manifest(files))
    policy = PolicyRef(Slot.DEFENDER, 7, digest)
    published = signer.sign_publication(PolicyPublished(policy, manifest, a_lineage(), "run-0", "start", 1_700_000_000.0))
    served = PolicyServed(policy, "triton-0", 1_700_000_001.0, 41.5, 1e-6, 1_700_000_011.0, True)
    bout = codec.to_message(BOUTS, an_event(WAITING))
    messages = [
        codec.to_message(VERDICTS, an_event(a_judged_bout(JUDGED))),
        codec.to_message(ATTACKS, an_event(an_attacked_bout(WAITING))),
        bout,
        codec.to_message(POLICIES, an_event(published)),
        codec.to_message(SERVED, an_event(served)),
        letter_of(bout),
    ]
    producer = bus.producer(client_id="test")
    producer.send(messages)
    producer.close()
    bus.close()


def letter_of(message: Outgoing) -> Outgoing:
    """The bytes of a bout where attacks belong."""
    dead = replace(
        a_dead_letter(), topic=ATTACKS.name, key=message.key, value=message.value, headers=message.headers, reason="wrong_event"
    )
    return codec.dead_letter_message(ATTACKS, dead)


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def letter_id(capsys: pytest.CaptureFixture[str], where: list[str]) -> str:
    (one,) = answer(capsys, "dead-letters", "list", *where)
    return str(one["id"])


def test_a_judged_bout_is_found_by_the_first_digits_of_its_id(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "bout", "show", JUDGED.bout_id[:8], *where)
    assert found["newest"]["event"] == "harden.verdict.v1.VerdictsRendered"
    assert found["dead_letters"] == []


def test_attacks_are_hidden_until_they_are_asked_for(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bout", "show", JUDGED.bout_id, *where]) == 0
    shown = capsys.readouterr().out
    assert "moonwater" not in shown
    assert JUDGED.bout_id in shown
    assert run(["bout", "show", JUDGED.bout_id, "--reveal", *where]) == 0
    assert "moonwater" in capsys.readouterr().out


def test_a_bout_that_did_not_come_far_shows_how_far_and_what_died(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bout", "show", WAITING.bout_id, *where]) == 0
    shown = capsys.readouterr().out
    assert "waiting for responses" in shown
    assert "wrong_event" in shown


def test_a_bout_that_nobody_scheduled_is_said_to_be_unknown(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bout", "show", ids.root("nobody's"), *where]) == 2
    assert "no bout begins with" in capsys.readouterr().err


def test_policies_are_listed_with_what_the_replicas_said(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = answer(capsys, "policy", "list", *where)
    assert (one["slot"], one["version"], one["reason"]) == ("defender", 7, "start")
    assert one["state"] == "served after 42 ms, no longer"


def test_dead_letters_are_listed_shown_and_sent_back_to_where_they_came_from(
    where: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = letter_id(capsys, where)
    shown = answer(capsys, "dead-letters", "show", name, *where)
    assert shown["fact"]["reason"] == "wrong_event"
    assert set(shown["fact"]["value"]) == {"hidden"}
    before = attacks_on(where)
    assert run(["dead-letters", "replay", *where]) == 2
    assert "name the dead letters to send back, or give --all" in capsys.readouterr().err
    assert run(["dead-letters", "replay", "--all", "--dry-run", *where]) == 0
    assert attacks_on(where) == before
    assert f"would send {name}" in capsys.readouterr().out
    assert run(["dead-letters", "replay", name, *where]) == 0
    sent = attacks_on(where)[len(before) :]
    assert [(message.key, message.value) for message in sent] == [(WAITING.bout_id.encode(), codec_value())]


def codec_value() -> bytes:
    return codec.to_message(BOUTS, an_event(WAITING)).value


def attacks_on(where: list[str]) -> list[Incoming]:
    bus = KafkaBus(KafkaSettings(bootstrap_servers=where[1]))
    reader = bus.log_reader([ATTACKS.name], client_id="test")
    found: list[Incoming] = []
    try:
        while not reader.caught_up():
            found += reader.poll(0.2, 100)
        return sorted(found, key=lambda message: message.timestamp_ms)
    finally:
        reader.close()
        bus.close()


def test_a_broker_with_the_catalogue_s_topics_passes_the_check(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["topics", "check", *where]) == 0
    assert "set as they should be" in capsys.readouterr().out


def test_seeds_are_counted_by_category(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    listed = answer(capsys, "seeds", "list", *where)
    assert {row["category"] for row in listed} >= {"harmful", "ordinary", "trap", "utility"}
    assert run(["seeds", "submit", "arena", *where]) == 0
    capsys.readouterr()
    assert answer(capsys, "seeds", "list", *where) == listed


def test_a_run_that_is_over_is_read_from_the_log_it_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One test, because every command starts a broker of its own."""
    local = LocalRun(tmp_path)
    with LocalKafka(local.kafka) as kafka:
        fill(kafka.bootstrap_servers, local)
    over = ["--run", str(local.root)]

    shown = answer(capsys, "policy", "show", "defender/7", *over)
    weights = next(file for file in shown["manifest"]["files"] if file["path"] == "model.safetensors")
    (blob,) = local.store.rglob(weights["sha256"].removeprefix("sha256:"))
    blob.write_bytes(b"w3ights")
    assert run(["policy", "verify", "defender/7", *over]) == 1
    assert "wrong_digest" in capsys.readouterr().out

    assert run(["dead-letters", "replay", "--all", *over]) == 2
    assert "no service would read" in capsys.readouterr().err
