"""The account of swaps goes on over a checkpoint: nothing in it is lost, and nothing is counted twice."""

import json
import time
from pathlib import Path

import pytest

from harden.bus.memory import MemoryBus
from harden.domain.completion import SamplingStats
from harden.domain.policy import PolicyRef, PolicyServed
from harden.store.object_store import ObjectStore
from harden.store.policy_log import PolicyLog
from harden.store.signing import Signer, generate_keypair
from harden.trainer.publisher import Publisher, Swaps
from tests.support.facts import a_policy

FIRST, SECOND = a_policy(version=1), a_policy(version=2)


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    store = ObjectStore("memory://")
    log = PolicyLog(MemoryBus(), store, Signer(generate_keypair(tmp_path)[0]), service="trainer", run_id="run-0")
    return Publisher(log, store, run_id="run-0", num_replicas=1)


def served(policy: PolicyRef, at: float) -> PolicyServed:
    return PolicyServed(policy, "in-process", at, 1.0, 0.0, time.time() + 60, True)


def an_account() -> Swaps:
    """The first policy was served, the second is published."""
    published_at = {FIRST: 10.0, SECOND: 20.0}
    return Swaps(published_at, windows=[(10.0, 11.0)], refused=1, stats=[SamplingStats(3, 1, 10.5, 12.0)])


def resumed(swaps: Swaps) -> Swaps:
    return Swaps.from_checkpoint(json.loads(json.dumps(swaps.to_checkpoint())))


def test_a_resumed_account_says_what_it_said() -> None:
    assert resumed(an_account()).to_json() == an_account().to_json()
    assert Swaps.from_checkpoint(None).to_json() == Swaps().to_json()


def test_a_policy_that_a_replica_serves_again_is_no_second_swap(publisher: Publisher) -> None:
    publisher.swaps = resumed(an_account())
    publisher.note_status(served(FIRST, at=30.0))
    assert publisher.swaps.to_json()["count"] == 1
    publisher.note_status(served(SECOND, at=31.0))
    assert publisher.swaps.to_json()["count"] == 2
