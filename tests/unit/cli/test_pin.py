"""`harden policy pin`: an older policy becomes its slot's again, and the writer before it ends."""

from dataclasses import replace
from pathlib import Path

import pytest

from harden.bus.memory import MemoryBus
from harden.cli.log_access import OpenLog
from harden.cli.policy import publish_again
from harden.domain.errors import FencedError, SetupError
from harden.domain.policy import PolicyBase
from harden.store.object_store import ObjectStore
from harden.store.policies import publish_files, put_manifest
from harden.store.policy_log import PolicyLog
from harden.store.signing import Signer, generate_keypair
from tests.support.facts import a_manifest


@pytest.fixture
def log(tmp_path: Path) -> OpenLog:
    signing_key, verify_key = generate_keypair(tmp_path / "keys")
    bus = MemoryBus()
    bus.create_topics()
    return OpenLog(bus, True, str(tmp_path / "store"), (verify_key,), signing_key, 10.0)


@pytest.fixture
def trainer(log: OpenLog) -> PolicyLog:
    assert log.signing_key_file is not None
    store = ObjectStore(log.store_uri)
    trainer = PolicyLog(log.bus, store, Signer(log.signing_key_file), service="trainer", run_id="run-0")
    for weights in (b"old", b"new"):
        manifest = a_manifest(publish_files(store, {"model.safetensors": weights}))
        trainer.publish("defender", manifest, "step")
    return trainer


def test_an_older_policy_gets_the_next_number_and_the_trainer_is_fenced(log: OpenLog, trainer: PolicyLog) -> None:
    pinned = publish_again(log, "defender/1", None)
    assert (pinned.slot, pinned.version) == ("defender", 3)
    with pytest.raises(FencedError):
        trainer.publish("defender", a_manifest(), "step")
    assert publish_again(log, pinned.digest, None).version == 4


def test_a_policy_may_be_pinned_to_another_slot(log: OpenLog, trainer: PolicyLog) -> None:
    assert publish_again(log, "defender/2", "defender_stable").version == 1
    trainer.publish("defender", a_manifest(), "step")  # its own slot is the trainer's still


def test_what_replicas_would_refuse_is_not_published(log: OpenLog, trainer: PolicyLog) -> None:
    lost = trainer.publish("defender", a_manifest(), "step").policy  # its files were never put
    with pytest.raises(SetupError, match="missing_blob"):
        publish_again(log, f"defender/{lost.version}", None)
    trainer.publish("defender", a_manifest(), "step")  # nobody took the slot over


def test_an_adapter_whose_base_is_gone_is_not_published(log: OpenLog, trainer: PolicyLog) -> None:
    assert log.signing_key_file is not None
    store, signer = ObjectStore(log.store_uri), Signer(log.signing_key_file)
    files = publish_files(store, {"adapter_model.safetensors": b"small"})
    blob, digest = put_manifest(store, signer, a_manifest(publish_files(store, {"model.safetensors": b"base"})))
    good = trainer.publish("defender", a_manifest(files, PolicyBase(digest, blob)), "step").policy
    lost = put_manifest(store, signer, a_manifest())  # its files were never put
    bad = trainer.publish("defender", a_manifest(files, PolicyBase(lost[1], lost[0])), "step").policy
    with pytest.raises(SetupError, match="missing_base"):
        publish_again(log, f"defender/{bad.version}", None)
    assert publish_again(log, f"defender/{good.version}", None).digest == good.digest


def test_a_retired_policy_stays_retired(log: OpenLog, trainer: PolicyLog) -> None:
    retired = publish_again(log, "defender/1", "opponent")
    writer = PolicyLog(log.bus, ObjectStore(log.store_uri), Signer(log.signing_key_file), service="cli", run_id="run-0")  # type: ignore[arg-type]
    writer.retire(retired, "erased")
    with pytest.raises(SetupError, match="retired"):
        publish_again(log, "opponent/1", None)


def test_a_log_that_nobody_follows_and_a_missing_key_are_explained(log: OpenLog, trainer: PolicyLog) -> None:
    with pytest.raises(SetupError, match="the run is over"):
        publish_again(replace(log, is_live=False), "defender/1", None)
    with pytest.raises(SetupError, match="HARDEN_KEYS__SIGNING_KEY_FILE"):
        publish_again(replace(log, signing_key_file=None), "defender/1", None)
