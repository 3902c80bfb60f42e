"""From weights to a served policy: numbers, who serves what, and the account of the swaps."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harden.domain.completion import SamplingStats
from harden.domain.conversation import Conversation
from harden.domain.policy import PolicyPublished, PolicyRef, PolicyRefused, Probe, ProbePrompt, Slot
from harden.store.leases import CLOCK_ALLOWANCE_S
from harden.store.policies import fetch_files, fetch_manifest
from harden.store.policy_log import PolicyLog
from harden.store.signing import VERIFY_KEY_FILE, Verifier
from harden.topics import POLICIES
from harden.trainer.publisher import WEIGHTS_FILE, Published, Publisher
from tests.support.answering import AnsweringBus, a_lease
from tests.support.builders import NOON
from tests.support.clock import Clock
from tests.support.game import a_signer

PROBE = Probe((ProbePrompt(Conversation.of_user("hello"), (5, 2), (-0.5, -0.25)),), tolerance=1e-3)


@dataclass
class Press:
    """A publisher of a run, on a bus where the replicas say what the test says."""

    keys: Path
    num_replicas: int = 1
    bus: AnsweringBus = field(default_factory=AnsweringBus)
    now: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.bus.replicas = ()
        self.publisher = self.begin()

    def begin(self) -> Publisher:
        """As a process that has just started."""
        log = PolicyLog(self.bus, self.bus.store, a_signer(self.keys), service="trainer", run_id="run", now=self.now)
        return Publisher(log, self.bus.store, run_id="run", num_replicas=self.num_replicas, now=self.now)

    def publish(self, weights: bytes = b"weights", *, slot: str = Slot.DEFENDER, step: int = 1) -> Published:
        files: dict[str, bytes | Path] = {WEIGHTS_FILE: weights, "config.json": b"{}"}
        return self.publisher.publish(slot, files, PROBE, learner_step=step, round_=2, parent=None, reason="step")

    def hear(self, policy: PolicyRef, replica: str = "triton-0", *, after_s: float = 1.0, lasts_s: float = 60.0) -> None:
        """A lease from `after_s` seconds after now."""
        at = self.now.at + after_s
        self.publisher.note_status(a_lease(policy, replica, served_at=at, until=at + lasts_s))

    def announced(self) -> list[PolicyPublished]:
        return [fact for fact in self.bus.facts(POLICIES) if isinstance(fact, PolicyPublished)]


@pytest.fixture
def press(tmp_path: Path) -> Press:
    return Press(tmp_path / "keys")


def test_every_publication_of_a_slot_has_the_next_version(press: Press) -> None:
    first, second = press.publish(), press.publish(b"others")
    back = press.publisher.publish_again(first, "rollback")
    third = press.publish()
    attacker = press.publish(slot=Slot.ATTACKER)
    assert [one.policy.version for one in (first, second, back, third)] == [1, 2, 3, 4]
    assert attacker.policy.version == 1
    assert [fact.policy for fact in press.announced() if fact.policy.slot == Slot.DEFENDER] == [
        one.policy for one in (first, second, back, third)
    ]


def test_what_is_published_again_is_what_it_was_under_another_version(press: Press) -> None:
    first = press.publish()
    press.publish(b"others", step=2)
    back = press.publisher.publish_again(first, "rollback")
    assert (back.policy.digest, back.manifest, back.lineage) == (first.policy.digest, first.manifest, first.lineage)
    assert back.learner_step == first.learner_step
    assert press.announced()[-1].reason == "rollback"


def test_equal_weights_at_one_place_of_the_game_have_one_digest(press: Press) -> None:
    """A trainer killed after a publication publishes it again: no sample of the first is of an unknown policy."""
    first, again, other, later = press.publish(), press.publish(), press.publish(b"others"), press.publish(step=2)
    assert first.policy.digest == again.policy.digest
    assert len({first.policy.digest, other.policy.digest, later.policy.digest}) == 3


def test_a_publisher_that_starts_anew_goes_on_behind_the_last_version(press: Press) -> None:
    press.publish()
    press.publish()
    press.publisher = press.begin()
    assert press.publish().policy.version == 3


def test_the_files_and_the_lineage_stand_in_the_manifest_before_anybody_hears_of_it(press: Press, tmp_path: Path) -> None:
    press.publish(b"the weights", step=7)
    [fact] = press.announced()
    manifest = fetch_manifest(press.bus.store, Verifier([press.keys / VERIFY_KEY_FILE]), fact)
    fetch_files(press.bus.store, manifest, tmp_path / "fetched")
    assert (tmp_path / "fetched" / WEIGHTS_FILE).read_bytes() == b"the weights"
    assert (manifest.lineage.run_id, manifest.lineage.round, manifest.lineage.step) == ("run", 2, 7)
    assert manifest.probe.prompts[0].token_ids == PROBE.prompts[0].token_ids


def test_a_policy_is_served_once_all_replicas_serve_it(tmp_path: Path) -> None:
    press = Press(tmp_path / "keys", num_replicas=2)
    old, new = press.publish(), press.publish(b"new")
    for replica in ("triton-0", "triton-1"):
        press.hear(old.policy, replica)
    press.hear(new.policy, "triton-0")
    assert not press.publisher.is_served(old.policy)
    assert not press.publisher.is_served(new.policy)
    press.hear(new.policy, "triton-1")
    assert press.publisher.is_served(new.policy)
    # More than the settings ask for count as well, as long as they live.
    press.hear(old.policy, "triton-2")
    assert not press.publisher.is_served(new.policy)


def test_a_replica_whose_lease_is_over_serves_nothing(press: Press) -> None:
    old, new = press.publish(), press.publish(b"new")
    press.hear(old.policy, "gone", after_s=0.0, lasts_s=10.0)
    press.hear(new.policy, "alive", after_s=0.0, lasts_s=100.0)
    assert not press.publisher.is_served(new.policy)
    press.now.at += 10.0 + CLOCK_ALLOWANCE_S + 1
    assert press.publisher.is_served(new.policy)
    press.now.at += 100.0
    assert not press.publisher.is_served(new.policy)


def test_a_policy_is_another_one_under_another_version(press: Press) -> None:
    first = press.publish()
    again = press.publisher.publish_again(first, "rollback")
    press.hear(first.policy)
    assert press.publisher.is_served(first.policy)
    assert not press.publisher.is_served(again.policy)


def test_a_refusal_counts_against_what_this_run_published(press: Press) -> None:
    ours = press.publish().policy
    foreign = PolicyRef(ours.slot, ours.version, "sha256:" + "f" * 64)
    for policy in (ours, foreign):
        press.publisher.note_status(PolicyRefused(policy, "triton-0", "not_finite", "a NaN", None, press.now.at))
    said = press.publisher.refusal_of(ours)
    assert said is not None
    assert (said.replica, said.reason) == ("triton-0", "not_finite")
    assert press.publisher.refusal_of(foreign) is None
    assert press.publisher.swaps.to_json()["refused"] == 1


def test_the_account_has_how_long_swaps_took_and_how_requests_fared_meanwhile(press: Press) -> None:
    for waited_s in (1.0, 3.0, 2.0):
        policy = press.publish(str(waited_s).encode()).policy
        press.hear(policy, after_s=waited_s)
        press.now.at += 100.0
    # A swap from NOON to NOON + 1: one request overlaps it, one begins later.
    press.publisher.swaps.stats += [
        SamplingStats(5, 1, NOON + 0.5, NOON + 1.5),
        SamplingStats(3, 0, NOON + 50.0, NOON + 50.25),
    ]
    account = press.publisher.swaps.to_json()
    assert account == {
        "count": 3,
        "refused": 0,
        "requests": 8,
        "failed": 1,
        "publish_to_served_ms": {"p50": pytest.approx(2000.0), "max": pytest.approx(3000.0)},
        "latency_ms": {"steady_p99": pytest.approx(250.0), "during_swap_p99": pytest.approx(1000.0)},
    }


def test_an_account_without_swaps_has_no_times(press: Press) -> None:
    account = press.publisher.swaps.to_json()
    assert account["count"] == 0
    assert account["publish_to_served_ms"] == {"p50": None, "max": None}
    assert account["latency_ms"] == {"steady_p99": None, "during_swap_p99": None}


def test_every_replica_that_swaps_is_a_swap(press: Press) -> None:
    policy = press.publish().policy
    for replica in ("triton-0", "triton-1"):
        press.hear(policy, replica)
        press.hear(policy, replica, after_s=9.0)
    assert press.publisher.swaps.to_json()["count"] == 2


def test_a_new_account_begins_empty_but_for_what_is_under_way(press: Press) -> None:
    served = press.publish(b"served").policy
    press.now.at += 1.0
    under_way = press.publish(b"under way").policy
    press.hear(served)
    press.publisher.note_status(PolicyRefused(under_way, "triton-1", "truncated", "short", None, press.now.at))
    press.publisher.open_account()
    assert press.publisher.swaps.to_json()["count"] == 0
    assert press.publisher.swaps.to_json()["refused"] == 0
    press.hear(under_way, after_s=4.0)
    account = press.publisher.swaps.to_json()
    assert account["count"] == 1
    assert account["publish_to_served_ms"] == {"p50": pytest.approx(4000.0), "max": pytest.approx(4000.0)}
