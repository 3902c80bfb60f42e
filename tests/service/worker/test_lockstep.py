"""Services in lockstep treat a message as a worker does: the same children, the same dead letters, the same retries."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from harden import codec, topics
from harden.bus.memory import MemoryBus
from harden.bus.ports import Incoming, Outgoing
from harden.config import WorkerSettings
from harden.domain.attack import AttackedBout
from harden.domain.bout import Bout
from harden.domain.errors import PoisonError, TransientError
from harden.domain.events import DeadLetter
from harden.runtime.handling import TooMuchPoison
from harden.runtime.lockstep import Lockstep, TakenUp
from harden.runtime.service import Service
from tests.support.facts import a_bout
from tests.support.workers import an_attacker, attack, bout_messages, events_on, everything_on, put, running, wait_until


@pytest.fixture
def bus() -> MemoryBus:
    bus = MemoryBus()
    bus.create_topics()
    return bus


def in_turn(jobs: Sequence[Callable[[], TakenUp]]) -> list[TakenUp]:
    return [job() for job in jobs]


@contextmanager
def lockstep(
    bus: MemoryBus, service: Service, settings: WorkerSettings | None = None
) -> Iterator[tuple[Lockstep, list[BaseException]]]:
    failures: list[BaseException] = []
    made = Lockstep([service], bus, in_turn, settings, on_failure=failures.append)
    try:
        yield made, failures
    finally:
        made.close(30)


def test_the_children_are_those_of_a_worker(bus: MemoryBus) -> None:
    with lockstep(bus, an_attacker()) as (services, failures):
        services.put(bus.append(bout_messages(20)))
        assert services.rest()
        assert failures == []
    other = MemoryBus()
    other.create_topics()
    put(other, bout_messages(20))
    with running(other, an_attacker()) as worker:
        wait_until(lambda: worker.metric("harden_events_handled_total", outcome="ok") == 20, "20 bouts")
    ours, theirs = (
        {event.meta.event_id: (event.fact, event.meta.parent_ids, event.meta.policy_digests) for event in events}
        for events in (events_on(bus, topics.ATTACKS), events_on(other, topics.ATTACKS))
    )
    assert ours == theirs
    assert len(ours) == 20


def test_a_message_that_cannot_be_used_is_buried_and_the_rest_goes_on(bus: MemoryBus) -> None:
    def picky(bout: Bout) -> AttackedBout:
        if bout.bout_id == a_bout("bout 1").bout_id:
            raise PoisonError("unwanted", "not this one")
        return attack(bout)

    broken = Outgoing(topics.BOUTS.name, b"x", b"\xff\xff\xff\xff", (("event", topics.BOUTS.events[0].encode()),))
    with lockstep(bus, an_attacker(picky)) as (services, failures):
        services.put(bus.append([broken, *bout_messages(3)]))
        assert services.rest()
    assert failures == []
    facts = [codec.from_message(topics.BOUTS, message).fact for message in everything_on(bus, topics.BOUTS.dead)]
    assert {fact.reason for fact in facts if isinstance(fact, DeadLetter)} == {"malformed", "unwanted"}
    assert len(everything_on(bus, topics.ATTACKS.name)) == 2


def test_a_bad_moment_is_tried_again(bus: MemoryBus) -> None:
    tries: list[str] = []

    def unsteady(bout: Bout) -> AttackedBout:
        tries.append(bout.bout_id)
        if len(tries) == 1:
            raise TransientError("not now")
        return attack(bout)

    with lockstep(bus, an_attacker(unsteady)) as (services, failures):
        services.put(bus.append(bout_messages(1)))
        assert services.rest()
    assert failures == []
    assert tries == [a_bout("bout 0").bout_id] * 2


def test_too_much_poison_in_a_row_ends_it(bus: MemoryBus) -> None:
    def picky(bout: Bout) -> AttackedBout:
        raise PoisonError("unwanted", "none of them")

    with lockstep(bus, an_attacker(picky), WorkerSettings(max_poison_in_a_row=3)) as (services, failures):
        services.put(bus.append(bout_messages(5)))
        assert not services.rest()
    assert [type(failure) for failure in failures] == [TooMuchPoison]


def test_what_is_put_first_has_ended_before_what_is_put_next_begins(bus: MemoryBus) -> None:
    seen: list[str] = []
    gate = threading.Event()

    def slow(bout: Bout) -> AttackedBout:
        assert gate.wait(30)
        seen.append(bout.bout_id)
        return attack(bout)

    with lockstep(bus, an_attacker(slow, max_in_flight=2)) as (services, _):
        units = [bus.append(bout_messages(3)), bus.append(bout_messages(3, first=3))]
        for unit in units:
            services.put(unit)
        assert not services.is_at_rest
        gate.set()
        assert services.rest()
    assert set(seen[:3]) == {a_bout(f"bout {n}").bout_id for n in range(3)}
    assert len(seen) == 6


def test_a_bug_ends_it_and_nobody_waits_for_ever(bus: MemoryBus) -> None:
    def broken(bout: Bout) -> AttackedBout:
        raise ZeroDivisionError

    with lockstep(bus, an_attacker(broken)) as (services, failures):
        services.put(bus.append(bout_messages(1)))
        assert not services.rest()
    assert [type(failure) for failure in failures] == [ZeroDivisionError]


def test_a_child_that_the_bus_does_not_take_is_buried(bus: MemoryBus) -> None:
    class Refusing(MemoryBus):
        def append(self, messages: Sequence[Outgoing]) -> list[Incoming]:
            if any(message.topic == topics.ATTACKS.name for message in messages):
                raise PoisonError("oversized", "too many bytes")
            return super().append(messages)

    bus = Refusing()
    bus.create_topics()
    with lockstep(bus, an_attacker()) as (services, failures):
        services.put(bus.append(bout_messages(1)))
        assert services.rest()
    assert failures == []
    (message,) = everything_on(bus, topics.BOUTS.dead)
    fact = codec.from_message(topics.BOUTS, message).fact
    assert isinstance(fact, DeadLetter)
    assert fact.reason == "oversized"
