"""Workers in threads, and what goes in and comes out of them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from prometheus_client import CollectorRegistry

from harden import codec, topics
from harden.bus.ports import Bus, Incoming, Outgoing
from harden.config import WorkerSettings
from harden.domain.attack import AttackedBout
from harden.domain.bout import Bout
from harden.domain.events import Event, Fact
from harden.runtime.service import Service
from harden.runtime.worker import Worker
from harden.topics import Topic
from tests.support.facts import a_bout, an_attacked_bout, an_event

DEADLINE_S = 30.0


def attack(bout: Bout) -> AttackedBout:
    """What a service does, without waiting for anything."""
    return an_attacked_bout(bout)


@dataclass(frozen=True)
class Lane:
    """The stretch of the ring that a worker serves: the catalogue's own, or topics like them for one test alone."""

    reads: Topic = topics.BOUTS
    writes: Topic = topics.ATTACKS
    group: str = "attacker"

    @classmethod
    def of_its_own(cls, name: str) -> "Lane":
        reads, writes = (replace(topic, noun=f"{topic.noun}-{name}") for topic in (topics.BOUTS, topics.ATTACKS))
        return cls(reads, writes, f"attacker.{name}")


CATALOGUE_LANE = Lane()


def an_attacker(handle: Callable[[Bout], Fact] = attack, *, max_in_flight: int = 4, lane: Lane = CATALOGUE_LANE) -> Service:
    return Service(
        name="attacker",
        group=lane.group,
        reads=lane.reads,
        writes=(lane.writes,),
        handle=handle,
        max_in_flight=max_in_flight,
    )


def bout_messages(count: int, *, first: int = 0, lane: Lane = CATALOGUE_LANE) -> list[Outgoing]:
    names = [f"bout {n}" for n in range(first, first + count)]
    return [codec.to_message(lane.reads, an_event(a_bout(name), f"event {name}")) for name in names]


def put(bus: Bus, messages: list[Outgoing]) -> None:
    producer = bus.producer(client_id="test")
    producer.send(messages)
    producer.close()


def everything_on(bus: Bus, topic: str) -> list[Incoming]:
    """All that is on the topic now, from its beginning."""
    reader = bus.log_reader([topic], client_id="test-reader")
    found: list[Incoming] = []
    try:
        while not reader.caught_up():
            found += reader.poll(0.1, 1000)
        return found
    finally:
        reader.close()


def events_on(bus: Bus, topic: Topic) -> list[Event]:
    return [codec.from_message(topic, message) for message in everything_on(bus, topic.name)]


def wait_until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """AssertionError naming `what` where the condition does not become true in time."""
    deadline = time.monotonic() + deadline_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"waited {deadline_s:.0f} s for {what}"
        pause.wait(0.005)


@dataclass
class Running:
    worker: Worker
    stop: threading.Event
    registry: CollectorRegistry
    thread: threading.Thread
    error: list[BaseException]

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    def join(self) -> None:
        self.thread.join(DEADLINE_S)
        assert not self.thread.is_alive(), "the worker did not end"


@contextmanager
def running(bus: Bus, service: Service, settings: WorkerSettings | None = None) -> Iterator[Running]:
    """A worker in a thread; asked to stop at the end, and its error, unless the test took it, is the test's."""
    registry = CollectorRegistry()
    worker = Worker(service, bus, settings, registry=registry)
    stop, errors = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            worker.run(stop)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    state = Running(worker, stop, registry, thread, errors)
    try:
        yield state
    finally:
        stop.set()
        state.join()
    if errors:
        raise errors[0]
