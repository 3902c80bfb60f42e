"""The worker: runs a Service on the bus. Written once, the same for every service.

    one thread   polls, pauses, commits       always polling, so that long work never gets the member expelled
    max_in_flight threads   decode, handle, encode, send the child, and only then call the message finished

A message is finished when its child, or its dead letter, is acknowledged. Offsets are committed up to the first
unfinished one, now and then, when partitions are revoked, and at the end.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import stamina
import structlog
from prometheus_client import CollectorRegistry

from harden import codec, metrics
from harden.bus.ports import Bus, GroupConsumer, Incoming, Partition, Producer
from harden.config import WorkerSettings
from harden.domain.errors import PoisonError, TransientError
from harden.domain.events import DeadLetter
from harden.runtime import tracing
from harden.runtime.children import child_of
from harden.runtime.offsets import OpenOffsets
from harden.runtime.service import Service

# While there is room: a poll returns as soon as something comes, so this only bounds how late a stop is noticed.
POLL_S = 0.1
# While full: nothing can come, so the worker sleeps until room is made and polls this often to stay a member.
FULL_POLL_S = 0.05
# How often lag and age are measured.
OBSERVE_S = 1.0
RETRY_WAIT_S = 0.1
RETRY_WAIT_MAX_S = 5.0

_log = structlog.get_logger()
T = TypeVar("T")


class TooMuchPoison(Exception):
    """So many messages in a row could not be used that the code, not the data, must be wrong."""


class WorkerMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.handled = metrics.EVENTS_HANDLED.counter(registry)
        self.seconds = metrics.HANDLE_SECONDS.histogram(registry)
        self.dead_letters = metrics.DEAD_LETTERS.counter(registry)
        self.retries = metrics.RETRIES.counter(registry)
        self.in_flight = metrics.IN_FLIGHT.gauge(registry)
        self.lag = metrics.GROUP_LAG.gauge(registry)
        self.age = metrics.GROUP_AGE_SECONDS.gauge(registry)


@dataclass(frozen=True, slots=True)
class _Task:
    message: Incoming
    offsets: OpenOffsets


class Worker:
    """Runs one service until told to stop. `run` is called once, from one thread."""

    def __init__(
        self,
        service: Service,
        bus: Bus,
        settings: WorkerSettings | None = None,
        *,
        registry: CollectorRegistry | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._bus = bus
        self._settings = settings or WorkerSettings()
        self._metrics = WorkerMetrics(registry or CollectorRegistry())
        self._clock = clock
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        # Guards everything below; notified when a message is finished or the worker failed.
        self._moved = threading.Condition()
        self._offsets: dict[Partition, OpenOffsets] = {}
        self._num_open = 0
        self._poison_in_a_row = 0
        self._failure: BaseException | None = None
        self._is_assigned = False
        self._is_paused = False
        self._last_commit = self._last_observed = time.monotonic()

    @property
    def is_assigned(self) -> bool:
        """Whether the group gave this member something to do. Not while it drains."""
        return self._is_assigned

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set, then finishes what is in flight and commits. Raises what ended it otherwise, uncommitted."""
        name = self._service.name
        self._producer: Producer = self._bus.producer(client_id=name)
        self._consumer: GroupConsumer = self._bus.group_consumer(
            [self._service.reads.name], group=self._service.group, client_id=name, on_revoked=self._on_revoked
        )
        for n in range(self._service.max_in_flight):
            threading.Thread(target=self._work, name=f"{name}-{n}", daemon=True).start()
        try:
            while not stop.is_set() and self._failure is None:
                self._turn()
            self._drain()
        finally:
            for _ in range(self._service.max_in_flight):
                self._tasks.put(None)
            self._consumer.close()
            self._producer.close()

    def _turn(self) -> None:
        """One poll, and whatever is due."""
        limit = self._service.max_in_flight
        if self._is_paused:
            with self._moved:
                has_room = self._moved.wait_for(lambda: self._num_open <= limit // 2 or self._failure, FULL_POLL_S)
            if has_room:
                self._consumer.resume(list(self._consumer.assigned()))
                self._is_paused = False
        room = 0 if self._is_paused else limit - self._num_open
        messages = self._consumer.poll(POLL_S if room else 0.0, room or 1)
        for message in messages:
            self._begin(message)
        if messages and len(messages) < room:
            time.sleep(self._settings.gather_s)
        self._is_assigned = bool(self._consumer.assigned())
        if self._is_paused or self._num_open >= limit:
            # Again and again: a rebalance may have brought partitions that are not paused yet.
            self._consumer.pause(list(self._consumer.assigned()))
            self._is_paused = True
        self._commit_if_due()
        self._observe_if_due()

    def _begin(self, message: Incoming) -> None:
        with self._moved:
            offsets = self._offsets.setdefault(Partition(message.topic, message.partition), OpenOffsets())
            offsets.begin(message.offset, message.timestamp_ms)
            self._num_open += 1
            self._metrics.in_flight.set(self._num_open)
        self._tasks.put(_Task(message, offsets))

    def _work(self) -> None:
        """What each of the threads does."""
        while (task := self._tasks.get()) is not None:
            if self._failure is not None:
                return  # and leave the message unfinished
            try:
                # A lost partition's new owner does this message again; the same ids come out of it.
                if not task.offsets.is_lost:
                    self._handle(task.message)
            except BaseException as error:
                # Nobody handles it here: the polling thread ends with it, and the message stays unfinished.
                self._fail(error)
                return
            with self._moved:
                task.offsets.finish(task.message.offset)
                self._num_open -= 1
                self._metrics.in_flight.set(self._num_open)
                self._moved.notify_all()

    def _handle(self, message: Incoming) -> None:
        service = self._service
        began = time.monotonic()
        with tracing.span_of(message, f"{service.name} handle") as trace:
            try:
                event = codec.from_message(service.reads, message)
                fact = self._patiently(lambda: service.handle(event.fact))
                child = child_of(event, fact, service=service.name, now=self._clock())
                outgoing = codec.to_message(codec.topic_of(fact, service.writes), child, trace)
                self._patiently(lambda: self._producer.send([outgoing]))
            except PoisonError as poison:
                self._bury(message, poison, trace)
                return
        with self._moved:
            self._poison_in_a_row = 0
        self._metrics.handled.labels("ok").inc()
        self._metrics.seconds.observe(time.monotonic() - began)

    def _bury(self, message: Incoming, poison: PoisonError, trace: Mapping[str, str]) -> None:
        dead = DeadLetter(
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            key=message.key,
            value=message.value,
            headers=message.headers,
            reason=poison.reason,
            detail=poison.detail,
            service=self._service.name,
            died_at=self._clock(),
        )
        letter = codec.dead_letter_message(self._service.reads, dead, trace)
        self._patiently(lambda: self._producer.send([letter]))
        self._metrics.handled.labels("poison").inc()
        self._metrics.dead_letters.labels(poison.reason).inc()
        # Not the detail: it may quote the message.
        position = f"{message.topic}[{message.partition}]@{message.offset}"
        _log.warning("message_dead_lettered", reason=poison.reason, position=position)
        with self._moved:
            self._poison_in_a_row += 1
            is_too_much = self._poison_in_a_row >= self._settings.max_poison_in_a_row
        if is_too_much:
            raise TooMuchPoison(
                f"{self._poison_in_a_row} messages in a row of {message.topic} could not be used, the last one at {position} "
                f"({poison.reason}). Look at them with `harden dead-letters list`; when writers and readers agree again, "
                "`harden dead-letters replay` brings them back"
            )

    def _patiently(self, attempt: Callable[[], T]) -> T:
        """The result of `attempt`, tried again while the moment is bad; TransientError when that takes too long."""
        settings = self._settings
        for trial in stamina.retry_context(
            on=TransientError,
            attempts=settings.retry_attempts,
            timeout=settings.retry_timeout_s,
            wait_initial=RETRY_WAIT_S,
            wait_max=RETRY_WAIT_MAX_S,
        ):
            with trial:
                if trial.num > 1:
                    self._metrics.retries.inc()
                return attempt()
        raise AssertionError("the last trial returns or raises")

    def _fail(self, error: BaseException) -> None:
        with self._moved:
            self._failure = self._failure or error
            self._moved.notify_all()

    def _on_revoked(self, partitions: frozenset[Partition]) -> None:
        """Runs inside poll, while a commit for these partitions still counts."""
        with self._moved:
            lost = {partition: self._offsets.pop(partition) for partition in partitions if partition in self._offsets}
            for offsets in lost.values():
                offsets.is_lost = True
        if self._failure is None:
            self._commit(lost)
        _log.info("partitions_revoked", num_partitions=len(partitions))

    def _commit_if_due(self) -> None:
        if time.monotonic() - self._last_commit >= self._settings.commit_interval_s:
            self._commit(self._offsets)

    def _commit(self, of: Mapping[Partition, OpenOffsets]) -> None:
        self._last_commit = time.monotonic()
        with self._moved:
            reached = {partition: offset for partition, offsets in of.items() if (offset := offsets.committable()) is not None}
        if not reached:
            return
        try:
            self._consumer.commit(reached)
        except TransientError as error:
            # Tried again next time; should this member be gone by then, the work is done again with the same ids.
            _log.info("commit_postponed", reason=str(error))
            return
        for partition, offset in reached.items():
            of[partition].committed(offset)

    def _drain(self) -> None:
        self._is_assigned = False
        deadline = time.monotonic() + self._settings.drain_timeout_s
        while self._failure is None and time.monotonic() < deadline:
            self._consumer.pause(list(self._consumer.assigned()))
            self._consumer.poll(0.0, 1)
            with self._moved:
                if self._moved.wait_for(lambda: self._num_open == 0 or self._failure, FULL_POLL_S):
                    break
        if self._failure is not None:
            raise self._failure
        self._commit(self._offsets)
        _log.info("worker_drained", service=self._service.name, num_unfinished=self._num_open)

    def _observe_if_due(self) -> None:
        if time.monotonic() - self._last_observed < OBSERVE_S:
            return
        self._last_observed = time.monotonic()
        with self._moved:
            oldest = [ms for offsets in self._offsets.values() if (ms := offsets.oldest_ms()) is not None]
        self._metrics.age.set(max(0.0, self._clock() - min(oldest) / 1000) if oldest else 0.0)
        self._metrics.lag.set(sum(self._consumer.lag().values()))
