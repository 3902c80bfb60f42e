"""One worker on the in-memory bus: what it does with good, bad and slow messages."""

import threading
import time

import pytest

from harden import codec, topics
from harden.bus.memory import MemoryBus
from harden.bus.ports import Incoming, Outgoing, Partition
from harden.config import WorkerSettings
from harden.domain import ids
from harden.domain.attack import AttackedBout
from harden.domain.bout import Bout
from harden.domain.errors import PoisonError, TransientError
from harden.domain.events import DeadLetter
from harden.runtime.handling import TooMuchPoison
from tests.support.workers import an_attacker, attack, bout_messages, events_on, everything_on, put, running, wait_until

QUICK = WorkerSettings(commit_interval_s=0.02)


@pytest.fixture
def bus() -> MemoryBus:
    bus = MemoryBus()
    bus.create_topics()
    return bus


def test_every_event_gets_one_child_that_names_its_parent(bus: MemoryBus) -> None:
    put(bus, bout_messages(50))
    with running(bus, an_attacker()) as worker:
        wait_until(lambda: worker.metric("harden_events_handled_total", outcome="ok") == 50, "50 bouts")
    parents = {event.meta.event_id: event for event in events_on(bus, topics.BOUTS)}
    children = events_on(bus, topics.ATTACKS)
    assert len(children) == 50
    for child in children:
        (parent_id,) = child.meta.parent_ids
        parent = parents.pop(parent_id)
        assert isinstance(child.fact, AttackedBout)
        assert child.fact.bout == parent.fact
        assert child.meta.event_id == ids.child(parent_id, "attacker", 0)
        assert child.meta.policy_digests == (child.fact.bout.attacker.digest,)
    assert not parents


def test_a_stopped_worker_has_committed_what_it_finished(bus: MemoryBus) -> None:
    put(bus, bout_messages(20))
    with running(bus, an_attacker()) as worker:
        wait_until(lambda: worker.metric("harden_events_handled_total", outcome="ok") == 20, "20 bouts")
    with running(bus, an_attacker()) as worker:
        put(bus, bout_messages(1, first=20))
        wait_until(lambda: worker.metric("harden_events_handled_total", outcome="ok") == 1, "the new bout")
    assert len(everything_on(bus, topics.ATTACKS.name)) == 21


def test_no_more_than_max_in_flight_are_handled_at_once_and_polling_goes_on(bus: MemoryBus) -> None:
    gate, lock, now, most = threading.Event(), threading.Lock(), 0, 0

    def slow(bout: Bout) -> AttackedBout:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        gate.wait()
        with lock:
            now -= 1
        return attack(bout)

    put(bus, bout_messages(20))
    with running(bus, an_attacker(slow, max_in_flight=3)) as worker:
        wait_until(lambda: now == 3, "three at once")
        put(bus, bout_messages(1, first=20))
        wait_until(lambda: worker.metric("harden_group_lag") == 18, "the lag of what waits on the log")
        assert worker.metric("harden_in_flight") == 3
        gate.set()
        wait_until(lambda: worker.metric("harden_events_handled_total", outcome="ok") == 21, "all of them")
    assert most == 3


def test_a_worker_rests_after_a_poll_so_that_the_next_one_brings_many() -> None:
    """A poll costs the same however many messages it returns, so bouts that trickle in are taken some at a time."""

    class CountingBus(MemoryBus):
        num_full_polls = 0

        def take(self, positions: dict[Partition, int], order: list[Partition], max_records: int) -> list[Incoming]:
            taken = super().take(positions, order, max_records)
            self.num_full_polls += bool(taken)
            return taken

    rest_s = 0.2
    bus = CountingBus()
    bus.create_topics()
    with running(bus, an_attacker(max_in_flight=200), WorkerSettings(gather_s=rest_s)) as worker:
        wait_until(lambda: worker.worker.is_assigned, "its partitions")
        began = time.monotonic()
        for n in range(100):
            put(bus, bout_messages(1, first=n))
            time.sleep(0.002)
        wait_until(lambda: worker.metric("harden_events_handled_total", outcome="ok") == 100, "100 bouts")
        seconds = time.monotonic() - began
    # However slow the machine: between two polls that bring something lies a rest.
    assert bus.num_full_polls <= seconds / rest_s + 2


def test_a_member_whose_work_takes_longer_than_the_poll_interval_keeps_its_partitions() -> None:
    bus = MemoryBus(max_poll_interval_s=0.3)
    bus.create_topics()
    gate, never = threading.Event(), threading.Event()

    def slow(bout: Bout) -> AttackedBout:
        gate.wait()
        return attack(bout)

    put(bus, bout_messages(4))
    with running(bus, an_attacker(slow, max_in_flight=2)) as worker:
        wait_until(lambda: worker.metric("harden_in_flight") == 2, "a full worker")
        never.wait(1.0)  # three poll intervals
        assert worker.worker.is_assigned
        gate.set()
        wait_until(lambda: worker.metric("harden_events_handled_total", outcome="ok") == 4, "all of them")
    assert len(everything_on(bus, topics.ATTACKS.name)) == 4


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Outgoing(topics.BOUTS.name, b"k", b"\xff\xff garbage", (("event", b"harden.bout.v1.BoutScheduled"),)), "malformed"),
        (Outgoing(topics.BOUTS.name, b"k", b"", (("event", b"harden.bout.v1.BoutScheduled"),)), "invalid"),
        (Outgoing(topics.BOUTS.name, b"k", b"x", (("event", b"harden.nothing.v1.Known"),)), "unknown_event"),
        (Outgoing(topics.BOUTS.name, b"k", b"x", (("event", b"harden.verdict.v1.VerdictsRendered"),)), "wrong_topic"),
        (
            Outgoing(topics.BOUTS.name, b"k", b"x", (("\ud800".encode("utf-8", "replace").decode(), b"\xff"),)),
            "missing_event_name",
        ),
        (Outgoing(topics.BOUTS.name, b"", b"x"), "missing_event_name"),
    ],
)
def test_a_message_that_cannot_be_used_goes_to_the_dead_letters_and_the_next_one_is_handled(
    bus: MemoryBus, message: Outgoing, reason: str
) -> None:
    put(bus, [message, *bout_messages(3)])
    with running(bus, an_attacker()) as worker:
        wait_until(lambda: worker.metric("harden_events_handled_total", outcome="ok") == 3, "the good ones")
        wait_until(lambda: worker.metric("harden_dead_letters_total", reason=reason) == 1, "the dead letter")
    (letter,) = everything_on(bus, topics.BOUTS.dead)
    dead = codec.from_message(topics.BOUTS, letter).fact
    assert isinstance(dead, DeadLetter)
    original = next(m for m in everything_on(bus, topics.BOUTS.name) if m.value == message.value)
    assert (dead.reason, dead.value, dead.key, dead.headers) == (reason, message.value, message.key, message.headers)
    assert (dead.topic, dead.partition, dead.offset) == (original.topic, original.partition, original.offset)
    assert dead.service == "attacker"


def test_a_fact_the_service_calls_poison_is_dead_lettered_with_its_reason(bus: MemoryBus) -> None:
    def picky(bout: Bout) -> AttackedBout:
        raise PoisonError("no_such_transform", "the plan names a transform nobody knows")

    put(bus, bout_messages(1))
    with running(bus, an_attacker(picky)) as worker:
        wait_until(lambda: worker.metric("harden_dead_letters_total", reason="no_such_transform") == 1, "the dead letter")
    assert not everything_on(bus, topics.ATTACKS.name)


def test_too_much_poison_in_a_row_stops_the_service(bus: MemoryBus) -> None:
    put(bus, [Outgoing(topics.BOUTS.name, b"k", b"\xff") for _ in range(10)])
    with (
        pytest.raises(TooMuchPoison, match=r"5 messages in a row of harden\.bouts\.v1"),
        running(bus, an_attacker(max_in_flight=1), WorkerSettings(max_poison_in_a_row=5)) as worker,
    ):
        worker.join()
    assert len(everything_on(bus, topics.BOUTS.dead)) == 5


def test_what_was_buried_before_the_service_stopped_is_not_buried_again(bus: MemoryBus) -> None:
    put(bus, [Outgoing(topics.BOUTS.name, b"k", b"\xff") for _ in range(23)])
    for _ in range(4):
        with (
            pytest.raises(TooMuchPoison),
            running(bus, an_attacker(max_in_flight=1), WorkerSettings(max_poison_in_a_row=5)) as worker,
        ):
            worker.join()
    with running(bus, an_attacker(), WorkerSettings(max_poison_in_a_row=100)) as worker:
        wait_until(lambda: len(everything_on(bus, topics.BOUTS.dead)) >= 23, "the rest")
    letters = [codec.from_message(topics.BOUTS, message).fact for message in everything_on(bus, topics.BOUTS.dead)]
    assert sorted(letter.offset for letter in letters if isinstance(letter, DeadLetter)) == list(range(23))


def test_a_good_message_between_bad_ones_keeps_the_service_running(bus: MemoryBus) -> None:
    good = bout_messages(6)
    for message in good:
        put(bus, [Outgoing(topics.BOUTS.name, message.key, b"\xff"), message])
    with running(bus, an_attacker(max_in_flight=1), WorkerSettings(max_poison_in_a_row=6)) as worker:
        wait_until(lambda: worker.metric("harden_events_handled_total", outcome="ok") == 6, "the good ones")
    assert len(everything_on(bus, topics.BOUTS.dead)) == 6


def test_a_bad_moment_is_retried_and_counted(bus: MemoryBus) -> None:
    failures = iter([TransientError("the policy is being swapped")] * 2)

    def flaky(bout: Bout) -> AttackedBout:
        for failure in failures:
            raise failure
        return attack(bout)

    put(bus, bout_messages(1))
    with running(bus, an_attacker(flaky)) as worker:
        wait_until(lambda: worker.metric("harden_events_handled_total", outcome="ok") == 1, "the bout")
        assert worker.metric("harden_retries_total") == 2


def test_a_moment_that_stays_bad_ends_the_worker_and_the_work_returns(bus: MemoryBus) -> None:
    def down(bout: Bout) -> AttackedBout:
        raise TransientError("nobody answers")

    put(bus, bout_messages(1))
    with pytest.raises(TransientError), running(bus, an_attacker(down), WorkerSettings(retry_attempts=2)) as worker:
        worker.join()
    with running(bus, an_attacker()) as worker:
        wait_until(lambda: worker.metric("harden_events_handled_total", outcome="ok") == 1, "the bout, again")


def test_a_bug_ends_the_worker_with_nothing_unfinished_committed(bus: MemoryBus) -> None:
    def broken(bout: Bout) -> AttackedBout:
        raise KeyError(bout.bout_id)

    put(bus, bout_messages(30))
    with pytest.raises(KeyError), running(bus, an_attacker(broken), QUICK) as worker:
        worker.join()
    with running(bus, an_attacker()) as worker:
        wait_until(lambda: worker.metric("harden_events_handled_total", outcome="ok") == 30, "all bouts, again")


def test_a_drain_finishes_what_is_in_flight_and_begins_nothing_new(bus: MemoryBus) -> None:
    begun, gate = threading.Semaphore(0), threading.Event()

    def slow(bout: Bout) -> AttackedBout:
        begun.release()
        gate.wait()
        return attack(bout)

    put(bus, bout_messages(10))
    with running(bus, an_attacker(slow, max_in_flight=2)) as worker:
        begun.acquire()
        begun.acquire()
        wait_until(lambda: worker.worker.is_assigned, "the end of the first poll")
        worker.stop.set()
        wait_until(lambda: not worker.worker.is_assigned, "the drain")
        gate.set()
        worker.join()
    assert len(everything_on(bus, topics.ATTACKS.name)) == 2
    with running(bus, an_attacker()) as again:
        wait_until(lambda: again.metric("harden_events_handled_total", outcome="ok") == 8, "the other eight")
    assert len({event.meta.event_id for event in events_on(bus, topics.ATTACKS)}) == 10


def test_the_trace_of_a_message_goes_on_in_its_child(bus: MemoryBus) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    (message,) = bout_messages(1)
    trace = ("traceparent", f"00-{trace_id}-b7ad6b7169203331-01".encode())
    put(bus, [Outgoing(message.topic, message.key, message.value, (*message.headers, trace))])
    with running(bus, an_attacker()) as worker:
        wait_until(lambda: worker.metric("harden_events_handled_total", outcome="ok") == 1, "the bout")
    (child,) = everything_on(bus, topics.ATTACKS.name)
    assert trace_id in dict(child.headers)["traceparent"].decode()
