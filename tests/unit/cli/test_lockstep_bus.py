"""What the trainer's own messages wait for where its services run in lockstep."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from harden import topics
from harden.bus.memory import MemoryBus
from harden.domain.attack import AttackedBout
from harden.domain.bout import Bout
from harden.domain.errors import SetupError
from harden.domain.policy import PolicyRefused, PolicyServed
from harden.local.lockstep_bus import LockstepBus, Settling
from harden.runtime.lockstep import Lockstep, TakenUp
from harden.trainer.inbox import Stopped
from tests.support.facts import a_policy, a_published, an_event
from tests.support.wire import sent
from tests.support.workers import an_attacker, attack, bout_messages, everything_on, wait_until

SERVED = PolicyServed(a_policy(), "in-process", 1.0, 10.0, 0.0, 1_900_000_000.0, True)
REFUSED = PolicyRefused(a_policy(), "in-process", "wrong_digest", "", None, 1.0)


@dataclass
class ARing:
    """An attacker that answers when the gate is open, and the trainer's bus over it."""

    inner: MemoryBus
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.services = Lockstep([an_attacker(self._attack)], self.inner, _in_turn)
        self.bus = LockstepBus(self.inner, self.services, Settling(self.inner, ["defender"], 0.3), lambda: None)

    def _attack(self, bout: Bout) -> AttackedBout:
        assert self.gate.wait(30)
        return attack(bout)


def _in_turn(jobs: Sequence[Callable[[], TakenUp]]) -> list[TakenUp]:
    return [job() for job in jobs]


@pytest.fixture
def ring() -> Iterator[ARing]:
    bus = MemoryBus()
    bus.create_topics()
    ring = ARing(bus)
    yield ring
    ring.gate.set()
    ring.services.close(30)


def in_the_background(task: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=task, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("word", [SERVED, REFUSED])
def test_a_policy_is_sent_when_nothing_is_under_way_and_settled_when_that_returns(
    ring: ARing, word: PolicyServed | PolicyRefused
) -> None:
    producer = ring.bus.exclusive_producer(client_id="trainer", exclusive_name="trainer")
    producer.send(bout_messages(2))
    publishing = in_the_background(lambda: producer.send([sent(an_event(a_published()))]))
    publishing.join(0.1)
    assert everything_on(ring.inner, topics.POLICIES.name) == []
    ring.gate.set()
    wait_until(lambda: everything_on(ring.inner, topics.POLICIES.name), "the publication")
    assert len(everything_on(ring.inner, topics.ATTACKS.name)) == 2
    assert publishing.is_alive()
    ring.inner.append([sent(an_event(word))])
    publishing.join(30)
    assert not publishing.is_alive()


def test_a_policy_that_no_slot_takes_up_ends_the_run(ring: ARing) -> None:
    producer = ring.bus.exclusive_producer(client_id="trainer", exclusive_name="trainer")
    with pytest.raises(SetupError, match="neither served nor refused"):
        producer.send([sent(an_event(a_published()))])


def test_a_policy_of_a_slot_that_is_not_served_here_is_not_waited_for(ring: ARing) -> None:
    elsewhere = replace(a_published(), policy=a_policy("elsewhere"))
    ring.bus.exclusive_producer(client_id="trainer", exclusive_name="trainer").send([sent(an_event(elsewhere))])


def test_a_poll_returns_without_a_result_only_where_none_can_come(ring: ARing) -> None:
    reader = ring.bus.log_reader([topics.ATTACKS.name, topics.SERVED.name], client_id="trainer")
    assert reader.poll(0.0, 10) == []
    ring.bus.exclusive_producer(client_id="trainer", exclusive_name="trainer").send(bout_messages(1))
    ring.inner.append([sent(an_event(SERVED))])
    found: list[str] = []
    polling = in_the_background(lambda: found.extend(message.topic for message in reader.poll(0.0, 10)))
    polling.join(0.1)
    assert polling.is_alive(), "a lease is no result"
    ring.gate.set()
    polling.join(30)
    assert sorted(found) == [topics.ATTACKS.name, topics.SERVED.name]


def test_who_waits_for_rest_hears_of_a_stop(ring: ARing) -> None:
    ring.bus.exclusive_producer(client_id="trainer", exclusive_name="trainer").send(bout_messages(1))
    stopping = in_the_background(ring.services.stop)
    with pytest.raises(Stopped):
        ring.bus.rest()
    stopping.join(30)
