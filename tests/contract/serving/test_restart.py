"""A replica that restarts answers again with the last policy it accepted, also where a newer one was published meanwhile."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harden.bus.memory import MemoryBus
from harden.domain.completion import Sampling
from harden.domain.policy import PolicyRefused, PolicyServed, RefusalReason
from harden.serving.follower import NoObserver, Source
from harden.serving.in_process import InProcessPolicies
from harden.serving.leases import LeaseTimes
from harden.serving.ports import GenerateRequest
from harden.serving.transformers_loader import TransformersLoader
from harden.store.object_store import ObjectStore
from harden.store.signing import Signer, Verifier, generate_keypair
from tests.contract.serving.conftest import SLOT, Model, Site
from tests.support.policies import Publishing, wait_for
from tests.support.tiny_models import some_prompts

TIMES = LeaseTimes(renew_s=0.05, hold_s=5.0)


class Heard(NoObserver):
    def __init__(self) -> None:
        self.not_restored_because: list[str] = []
        self.is_current: bool | None = None

    def not_restored(self, reason: str) -> None:
        self.not_restored_because.append(reason)

    def current(self, is_current: bool) -> None:
        self.is_current = is_current


class Replica:
    def __init__(self, root: Path) -> None:
        signing_key, verify_key = generate_keypair(root / "keys")
        bus, store = MemoryBus(), ObjectStore(str(root / "store"))
        bus.create_topics()
        self.source = Source(bus, store, Verifier([verify_key]))
        self.publishing = Publishing(bus, store, Signer(signing_key))
        self.work_dir = root / "work"

    def start(self, source: Source | None = None) -> tuple[InProcessPolicies, Heard]:
        heard = Heard()
        loader = TransformersLoader(num_threads=1)
        source = source or self.source
        return InProcessPolicies([SLOT], source, loader, times=TIMES, work_dir=self.work_dir, observer=heard), heard


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    return Replica(tmp_path)


def test_the_last_policy_accepted_answers_again_and_the_bad_one_is_refused_again(replica: Replica, models: list[Model]) -> None:
    publishing, request = replica.publishing, GenerateRequest(some_prompts(1)[0], 2, Sampling(6), 1)
    policies, heard = replica.start()
    with policies:
        good = Site(policies, publishing).serve(models[0])
        before = policies.generate(SLOT, [request])
        wait_for(lambda: heard.is_current is True, "the replica to be current")
        bad = publishing.publish(SLOT, models[1].directory, models[0].probe)  # another model's probe
        assert isinstance(publishing.verdict_on(bad), PolicyRefused)
        wait_for(lambda: heard.is_current is False, "the replica to be out of rotation")
    publishing.drain()
    policies, heard = replica.start()
    with policies:
        word = publishing.verdict_on(good)
        assert isinstance(word, PolicyServed)
        assert not word.is_current
        refused = publishing.verdict_on(bad)
        assert isinstance(refused, PolicyRefused)
        assert refused.still_serving == good
        assert policies.generate(SLOT, [request]) == before
        assert heard.not_restored_because == []
        next_one = Site(policies, publishing).serve(models[1])
        wait_for(lambda: heard.is_current is True, "the replica to be current again")
        assert policies.served(SLOT) == next_one
    assert len(list((replica.work_dir / SLOT).iterdir())) == 4  # one policy, its manifest, the record and the lock


def change_a_weight(work_dir: Path) -> None:
    (weights,) = work_dir.rglob("*.safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)


def bring_another_file(work_dir: Path) -> None:
    (weights,) = work_dir.rglob("*.safetensors")
    weights.with_name("added.json").write_text("{}")


def cut_the_record(work_dir: Path) -> None:
    record = work_dir / "accepted"
    record.write_bytes(record.read_bytes()[:20])


def lose_the_manifest(work_dir: Path) -> None:
    (manifest,) = work_dir.glob("*.manifest")
    manifest.unlink()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (change_a_weight, RefusalReason.WRONG_DIGEST),
        (bring_another_file, RefusalReason.DAMAGED_RECORD),
        (cut_the_record, RefusalReason.DAMAGED_RECORD),
        (lose_the_manifest, RefusalReason.DAMAGED_RECORD),
    ],
)
def test_a_damaged_record_is_refused_and_the_topic_is_followed(
    replica: Replica, models: list[Model], damage: Callable[[Path], None], reason: str
) -> None:
    policies, _ = replica.start()
    with policies:
        good = Site(policies, replica.publishing).serve(models[0])
    damage(replica.work_dir / SLOT)
    replica.publishing.drain()
    policies, heard = replica.start()
    with policies:
        assert isinstance(replica.publishing.verdict_on(good), PolicyServed)
        assert heard.not_restored_because == [reason]
        assert policies.served(SLOT) == good
