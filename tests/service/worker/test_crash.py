"""Workers that die, join and leave: nothing is lost, and what is done twice has the same ids."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from harden.bus.kafka import KafkaBus
from harden.bus.memory import MemoryBus
from harden.bus.ports import Bus
from harden.config import KafkaSettings, WorkerSettings
from harden.domain import ids
from harden.domain.attack import AttackedBout
from harden.domain.bout import Bout
from harden.runtime.worker import Worker
from tests.support.workers import Lane, an_attacker, attack, bout_messages, events_on, put, running, wait_until

QUICK = WorkerSettings(commit_interval_s=0.05)
SESSION_TIMEOUT_S = 6.0


@dataclass
class Stage:
    """A bus, and on it a lane that no other test knows."""

    bus: Bus
    lane: Lane

    def put_bouts(self, count: int, *, first: int = 0) -> None:
        put(self.bus, bout_messages(count, first=first, lane=self.lane))

    def expected_ids(self) -> set[str]:
        """Of the children that the events on the log must have."""
        return {ids.child(event.meta.event_id, "attacker", 0) for event in events_on(self.bus, self.lane.reads)}

    def child_ids(self) -> list[str]:
        return [event.meta.event_id for event in events_on(self.bus, self.lane.writes)]


def kafka_stage(node_settings: KafkaSettings, name: str) -> Stage:
    lane = Lane.of_its_own(name)
    return Stage(
        KafkaBus(node_settings.model_copy(update={"session_timeout_s": SESSION_TIMEOUT_S}), (lane.reads, lane.writes)), lane
    )


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    name = uuid.uuid4().hex[:12]
    if request.param == "memory":
        lane = Lane.of_its_own(name)
        stage = Stage(MemoryBus((lane.reads, lane.writes)), lane)
    else:
        stage = kafka_stage(request.getfixturevalue("kafka_settings"), name)
    stage.bus.create_topics()
    yield stage
    stage.bus.close()


def test_members_that_join_and_leave_in_the_middle_of_the_work_lose_nothing(stage: Stage) -> None:
    stage.put_bouts(200)
    with running(stage.bus, an_attacker(max_in_flight=2, lane=stage.lane), QUICK) as one:
        wait_until(lambda: one.metric("harden_events_handled_total", outcome="ok") >= 20, "a beginning")
        with running(stage.bus, an_attacker(max_in_flight=2, lane=stage.lane), QUICK) as two:
            stage.put_bouts(200, first=200)
            wait_until(lambda: two.worker.is_assigned, "the second one's partitions")
            stage.put_bouts(200, first=400)
            wait_until(lambda: two.metric("harden_events_handled_total", outcome="ok") >= 20, "the second one's share")
        stage.put_bouts(100, first=600)
        expected = stage.expected_ids()
        wait_until(lambda: set(stage.child_ids()) == expected, "every child")
    assert len(expected) == 700


def test_a_member_that_is_full_of_long_work_shares_its_partitions_and_finishes_what_it_has(stage: Stage) -> None:
    gate = threading.Event()

    def slow(bout: Bout) -> AttackedBout:
        gate.wait()
        return attack(bout)

    stage.put_bouts(60)
    with running(stage.bus, an_attacker(slow, max_in_flight=2, lane=stage.lane), QUICK) as full:
        wait_until(lambda: full.metric("harden_in_flight") == 2, "a full worker")
        with running(stage.bus, an_attacker(lane=stage.lane), QUICK) as free:
            wait_until(lambda: free.metric("harden_events_handled_total", outcome="ok") >= 10, "the free one's share")
            assert full.metric("harden_events_handled_total", outcome="ok") == 0
            assert full.worker.is_assigned
            gate.set()
            expected = stage.expected_ids()
            wait_until(lambda: set(stage.child_ids()) == expected, "every child")
    assert len(expected) == 60


def test_a_worker_that_crashes_between_sending_and_committing_repeats_the_same_ids(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is committed before the crash, so the second worker does all of it again."""
    # As a kill: nothing is done about it.
    monkeypatch.setattr(Worker, "_settle", lambda self: None)
    stage.put_bouts(30)

    def breaks_on_the_last(bout: Bout) -> AttackedBout:
        if bout.bout_id == ids.root("bout 30"):
            raise MemoryError("a bug that ends the process")
        return attack(bout)

    def run_until_it_breaks() -> None:
        never = WorkerSettings(commit_interval_s=60)
        with running(stage.bus, an_attacker(breaks_on_the_last, lane=stage.lane), never) as worker:
            wait_until(lambda: worker.metric("harden_events_handled_total", outcome="ok") == 30, "thirty bouts")
            stage.put_bouts(1, first=30)
            worker.join()

    with pytest.raises(MemoryError):
        run_until_it_breaks()
    first = stage.child_ids()
    assert len(first) == 30
    with running(stage.bus, an_attacker(lane=stage.lane)) as worker:
        wait_until(lambda: worker.metric("harden_events_handled_total", outcome="ok") == 31, "all bouts again")
    everything = stage.child_ids()
    assert len(everything) == 61
    assert set(everything) == stage.expected_ids()


@pytest.mark.kafka
def test_a_worker_killed_between_sending_and_committing_loses_nothing(kafka_settings: KafkaSettings) -> None:
    name = uuid.uuid4().hex[:12]
    stage = kafka_stage(kafka_settings, name)
    stage.bus.create_topics()
    stage.put_bouts(20)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HARDEN_")} | {
        "HARDEN_KAFKA__BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "HARDEN_KAFKA__SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
        "HARDEN_DEMO__LANE": name,
    }
    program = subprocess.Popen([sys.executable, "-m", "tests.support.killable_worker"], env=environment)
    try:
        wait_until(lambda: len(stage.child_ids()) == 20, "twenty children")
    finally:
        program.send_signal(signal.SIGKILL)
        program.wait(10)
    with running(stage.bus, an_attacker(lane=stage.lane)) as worker:
        wait_until(lambda: worker.metric("harden_events_handled_total", outcome="ok") == 20, "all of them again")
    everything = stage.child_ids()
    assert len(everything) == 40
    assert set(everything) == stage.expected_ids()
    stage.bus.close()
