"""What a worker does between handing a child to the producer and its acknowledgement."""

import threading
from dataclasses import replace

import pytest

from harden import topics
from harden.bus.ports import Partition
from harden.config import WorkerSettings
from harden.domain import ids
from harden.domain.attack import AttackedBout
from harden.domain.bout import Bout
from harden.domain.errors import PoisonError, TransientError
from harden.runtime import pool
from harden.runtime.handling import TooMuchPoison
from harden.runtime.service import Service
from tests.support.held import Held, HoldingBus
from tests.support.workers import (
    Running,
    an_attacker,
    attack,
    bout_messages,
    events_on,
    everything_on,
    put,
    running,
    wait_until,
)

QUICK = WorkerSettings(commit_interval_s=0.02)


@pytest.fixture
def bus() -> HoldingBus:
    return HoldingBus()


def committed(bus: HoldingBus) -> dict[Partition, int]:
    """What a new member of the group would begin with, where that is not the beginning."""
    return {p: offset for p, offset in bus._groups["attacker"].committed.items() if offset}


def num_ok(worker: Running) -> float:
    return worker.metric("harden_events_handled_total", outcome="ok")


def test_no_thread_waits_for_an_acknowledgement(bus: HoldingBus) -> None:
    put(bus, bout_messages(20))
    with running(bus, an_attacker(max_in_flight=2)) as worker:
        wait_until(lambda: len(bus.held) == 20, "twenty children on their way")
        assert worker.metric("harden_in_flight") == 20
        assert num_ok(worker) == 0
        for held in bus.take_held():
            held.acknowledge()
        assert num_ok(worker) == 20
        assert worker.metric("harden_in_flight") == 0


def test_what_is_not_acknowledged_is_not_committed(bus: HoldingBus) -> None:
    put(bus, bout_messages(20))
    total = {Partition(topics.BOUTS.name, n): len(bus.logs[Partition(topics.BOUTS.name, n)]) for n in range(6)}
    with running(bus, an_attacker(max_in_flight=32), QUICK) as worker:
        wait_until(lambda: len(bus.held) == 20, "twenty children on their way")
        # Each partition's oldest message stays open, so nothing of any partition may be committed.
        first, later = list[Held](), list[Held]()
        oldest = {bus.logs[p][0].key: p for p in total if total[p]}
        for held in bus.take_held():
            (first if held.message.key in oldest else later).append(held)
        for held in later:
            held.acknowledge()
        assert num_ok(worker) == len(later)
        threading.Event().wait(0.2)  # ten commit intervals
        assert committed(bus) == {}
        for held in first:
            held.acknowledge()
        wait_until(lambda: committed(bus) == {p: n for p, n in total.items() if n}, "everything committed")


def test_a_drain_waits_for_acknowledgements_and_commits_them(bus: HoldingBus) -> None:
    put(bus, bout_messages(5))
    with running(bus, an_attacker()) as worker:
        wait_until(lambda: len(bus.held) == 5, "five children on their way")
        worker.stop.set()
        wait_until(lambda: not worker.worker.is_assigned, "the drain")
        assert worker.thread.is_alive()
        for held in bus.take_held():
            held.acknowledge()
        worker.join()
    assert sum(committed(bus).values()) == 5


def test_a_failed_delivery_is_tried_again_and_counted(bus: HoldingBus) -> None:
    put(bus, bout_messages(1))
    with running(bus, an_attacker()) as worker:
        for n in range(2):
            wait_until(lambda: bus.held, "the child on its way")
            (held,) = bus.take_held()
            held.fail(TransientError("the broker is away"))
            assert worker.metric("harden_retries_total") == n
        wait_until(lambda: bus.held, "the third try")
        assert worker.metric("harden_retries_total") == 2
        (held,) = bus.take_held()
        held.acknowledge()
        assert num_ok(worker) == 1
    (child,) = events_on(bus, topics.ATTACKS)
    (parent,) = events_on(bus, topics.BOUTS)
    assert child.meta.event_id == ids.child(parent.meta.event_id, "attacker", 0)


def test_a_delivery_that_keeps_failing_ends_the_worker_with_nothing_committed(bus: HoldingBus) -> None:
    put(bus, bout_messages(1))
    settings = WorkerSettings(retry_attempts=2, commit_interval_s=0.02)

    def fail_twice() -> None:
        with running(bus, an_attacker(), settings) as worker:
            for _ in range(2):
                wait_until(lambda: bus.held, "the child on its way")
                bus.take_held()[0].fail(TransientError("the broker is away"))
            worker.join()

    with pytest.raises(TransientError, match="away"):
        fail_twice()
    assert committed(bus) == {}


def test_a_bug_in_the_producer_ends_the_worker(bus: HoldingBus) -> None:
    put(bus, bout_messages(1))

    def fail_once() -> None:
        with running(bus, an_attacker()) as worker:
            wait_until(lambda: bus.held, "the child on its way")
            bus.take_held()[0].fail(KeyError("a bug"))
            worker.join()

    with pytest.raises(KeyError):
        fail_once()


def test_a_child_that_the_broker_refuses_goes_to_the_dead_letters(bus: HoldingBus) -> None:
    put(bus, bout_messages(1))
    with running(bus, an_attacker(), QUICK) as worker:
        wait_until(lambda: bus.held, "the child on its way")
        bus.take_held()[0].fail(PoisonError("oversized", "the broker's limit is smaller"))
        wait_until(lambda: bus.held, "the dead letter on its way")
        (letter,) = bus.take_held()
        assert letter.message.topic == topics.BOUTS.dead
        assert worker.metric("harden_dead_letters_total", reason="oversized") == 0
        assert committed(bus) == {}
        letter.acknowledge()
        assert worker.metric("harden_dead_letters_total", reason="oversized") == 1
        wait_until(lambda: committed(bus), "the commit")
    assert not everything_on(bus, topics.ATTACKS.name)


def test_a_late_acknowledgement_for_a_lost_partition_changes_nothing(bus: HoldingBus) -> None:
    put(bus, bout_messages(30))
    with running(bus, an_attacker(max_in_flight=32), QUICK) as one:
        wait_until(lambda: len(bus.held) == 30, "thirty children on their way")
        of_one = bus.take_held()
        with running(bus, an_attacker(max_in_flight=32), QUICK) as two:
            # Nothing was committed, so the second member begins its half anew.
            wait_until(lambda: bus.held, "the second member's children")
            wait_until(lambda: two.metric("harden_in_flight") == len(bus.held), "all of them")
            for held in of_one:
                held.acknowledge()
            threading.Event().wait(0.2)  # ten commit intervals
            assert not two.worker._consumer.assigned() & committed(bus).keys()
            assert committed(bus)
            assert one.metric("harden_in_flight") == 0
            for held in bus.take_held():
                held.acknowledge()
    assert sum(committed(bus).values()) == 30


def test_too_much_poison_stops_the_service_before_its_letters_are_acknowledged(bus: HoldingBus) -> None:
    def picky(bout: Bout) -> AttackedBout:
        raise PoisonError("no_such_transform", "the plan names a transform nobody knows")

    put(bus, bout_messages(10))
    settings = WorkerSettings(max_poison_in_a_row=3, commit_interval_s=0.02)
    with pytest.raises(TooMuchPoison), running(bus, an_attacker(picky, max_in_flight=1), settings) as worker:
        worker.join()
    assert len(bus.held) == 3
    assert committed(bus) == {}


def test_a_quick_service_takes_up_more_than_it_handles_at_once(bus: HoldingBus, monkeypatch: pytest.MonkeyPatch) -> None:
    # Also where the machine is busy with something else.
    monkeypatch.setattr(pool, "QUICK_S", 1.0)
    handled = threading.Semaphore(0)
    gate = threading.Event()
    num_quick = 200

    def handle(bout: Bout) -> AttackedBout:
        if bout.bout_id in late:
            gate.wait()
        handled.release()
        return attack(bout)

    late = {ids.root(f"bout {n}") for n in range(num_quick, num_quick + 50)}
    put(bus, bout_messages(num_quick))
    with running(bus, an_attacker(handle, max_in_flight=2)) as worker:
        wait_until(lambda: len(bus.held) == num_quick, "the quick ones")
        put(bus, bout_messages(50, first=num_quick))
        wait_until(lambda: worker.metric("harden_in_flight") > num_quick + 2, "more than two taken up")
        gate.set()
        wait_until(lambda: len(bus.held) == num_quick + 50, "all of them")
        for held in bus.take_held():
            held.acknowledge()


def test_a_child_goes_to_the_topic_that_carries_its_event(bus: HoldingBus) -> None:
    put(bus, bout_messages(1))
    service = replace(an_attacker(), writes=(topics.RESPONSES, topics.ATTACKS, topics.VERDICTS))
    with running(bus, service):
        wait_until(lambda: bus.held, "the child on its way")
        (held,) = bus.take_held()
        assert held.message.topic == topics.ATTACKS.name
        held.acknowledge()


def test_a_fact_that_no_topic_of_the_service_carries_is_a_bug(bus: HoldingBus) -> None:
    put(bus, bout_messages(1))
    service = replace(an_attacker(), writes=(topics.RESPONSES,))
    expected = r"AttacksGenerated belongs on none of harden\.responses\.v1"
    with pytest.raises(ValueError, match=expected), running(bus, service) as worker:
        worker.join()
    assert not bus.held


def test_a_service_names_one_topic_for_each_event() -> None:
    with pytest.raises(ValueError, match=r"writes harden\.attack\.v1\.AttacksGenerated to more than one topic"):
        Service("twice", topics.BOUTS, (topics.ATTACKS, replace(topics.ATTACKS, noun="more")), attack, 1, "twice")
