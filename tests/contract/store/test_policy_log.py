"""Who may publish, and under which number."""

from pathlib import Path

import pytest

from harden import codec
from harden.bus.memory import MemoryBus
from harden.domain.errors import FencedError
from harden.domain.policy import PolicyPublished, PolicyRetired
from harden.store.object_store import ObjectStore
from harden.store.policies import fetch_manifest
from harden.store.policy_log import PolicyLog
from harden.store.signing import Signer, Verifier, generate_keypair
from harden.topics import POLICIES
from tests.support.facts import a_manifest


class Site:
    def __init__(self, root: Path) -> None:
        self.bus = MemoryBus()
        self.bus.create_topics()
        self.store = ObjectStore(str(root / "store"))
        self.signer = Signer(generate_keypair(root / "keys")[0])

    def log(self, service: str = "trainer") -> PolicyLog:
        return PolicyLog(self.bus, self.store, self.signer, service=service, run_id="run-0", now=lambda: 5.0)

    def facts(self) -> list[PolicyPublished | PolicyRetired]:
        reader = self.bus.log_reader([POLICIES.name], client_id="test")
        facts = []
        while not reader.caught_up():
            for message in reader.poll(0.0, 100):
                fact = codec.from_message(POLICIES, message).fact
                assert isinstance(fact, PolicyPublished | PolicyRetired)
                facts.append(fact)
        return facts


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_publication_says_who_and_why_and_holds(site: Site) -> None:
    published = site.log().publish("defender", a_manifest(), "start")
    assert site.facts() == [published]
    assert (published.policy.version, published.run_id, published.reason, published.published_at) == (1, "run-0", "start", 5.0)
    assert fetch_manifest(site.store, Verifier({site.signer.key_id: site.signer.public_key}), published) == a_manifest()


def test_a_rollback_is_a_new_version_of_an_old_manifest(site: Site) -> None:
    log = site.log()
    first = log.publish("defender", a_manifest(), "start")
    again = log.publish_again("defender", first.policy.digest, first.manifest, first.lineage, "rollback")
    assert (again.policy.version, again.policy.digest) == (2, first.policy.digest)


def test_slots_count_each_for_itself(site: Site) -> None:
    log = site.log()
    log.publish("defender", a_manifest(), "start")
    log.publish("defender", a_manifest(), "step")
    assert log.publish("opponent_7", a_manifest(), "start").policy.version == 1


def test_the_next_writer_goes_on_where_the_one_before_ended_and_fences_it(site: Site) -> None:
    trainer, operator = site.log("trainer"), site.log("cli")
    trainer.publish("defender", a_manifest(), "start")
    first = trainer.publish("defender", a_manifest(), "step")
    assert operator.publish_again("defender", first.policy.digest, first.manifest, first.lineage, "pin").policy.version == 3
    with pytest.raises(FencedError):
        trainer.publish("defender", a_manifest(), "step")
    assert [fact.policy.version for fact in site.facts()] == [1, 2, 3]


def test_another_slot_of_a_fenced_writer_is_its_own_still(site: Site) -> None:
    trainer, operator = site.log("trainer"), site.log("cli")
    trainer.publish("attacker", a_manifest(), "start")
    operator.publish("defender", a_manifest(), "pin")
    assert trainer.publish("attacker", a_manifest(), "step").policy.version == 2


def test_a_number_is_not_used_again_where_only_its_retirement_is_left(site: Site) -> None:
    log = site.log()
    policy = log.publish("defender", a_manifest(), "start").policy
    log.retire(policy, "erased")
    assert site.facts()[-1] == PolicyRetired(policy, "erased")
    assert site.log().publish("defender", a_manifest(), "start").policy.version == policy.version + 1
