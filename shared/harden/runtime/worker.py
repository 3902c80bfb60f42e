"""The worker: runs a Service on the bus. Written once, the same for every service.

    one thread          polls, pauses, commits      always polling, so that long work never gets the member expelled
    a pool of threads   decode, handle, encode, hand the child to the producer; no thread waits for an acknowledgement
    the producer        calls back when the child is acknowledged, and the message is finished

At most `max_in_flight` messages are handled at once. Those whose child is on its way to the broker do not count, and while
the service is quick (harden.runtime.pool) more are taken up ahead, so that polling, handling and sending overlap.

A message is finished when its child, or its dead letter, is acknowledged. Offsets are committed up to the first
unfinished one, now and then, when partitions are revoked, and at the end, also at a bad one: what was buried is not
buried again by the next process.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog
from prometheus_client import CollectorRegistry

from harden.bus.ports import Bus, GroupConsumer, Incoming, Outgoing, Partition
from harden.config import WorkerSettings
from harden.domain.errors import PoisonError, TransientError
from harden.runtime.counting import WorkerMetrics
from harden.runtime.delivery import Deliveries, RetryLimit
from harden.runtime.handling import Handling
from harden.runtime.offsets import OpenOffsets
from harden.runtime.pool import Pool
from harden.runtime.service import Service
from harden.threads import OS_THREADS, Stop, Threads

# While there is room: a poll returns as soon as something comes, so this only bounds how late a stop is noticed.
POLL_S = 0.1
# While messages wait for a thread: how soon it is noticed that the one that works has got stuck.
BUSY_POLL_S = 0.02
# While full: nothing can come, so the worker sleeps until room is made and polls this often to stay a member.
FULL_POLL_S = 0.05
# How often lag and age are measured.
OBSERVE_S = 1.0
# Messages that a quick service takes up beyond max_in_flight: a poll costs kafka-python milliseconds, however many it returns.
QUICK_AHEAD = 500
# Children on their way to the broker. Bounds what waits for a broker that is away.
MAX_SENDING = 2000
# How long a process that ends with an error waits for the children that are on their way.
SETTLE_S = 2.0
# Nothing is taken up ahead, and no child is left on its way, beyond so many bytes of messages.
MAX_BYTES_AHEAD = 32 * 1024 * 1024

_log = structlog.get_logger()


@dataclass(slots=True)
class _Task:
    """A message that was taken up. `poison` is why it went to the dead letters, where it did."""

    message: Incoming
    offsets: OpenOffsets
    began: float = 0.0
    poison: PoisonError | None = None


class Worker:
    """Runs one service until told to stop. `run` is called once, from one thread."""

    def __init__(
        self,
        service: Service,
        bus: Bus,
        settings: WorkerSettings | None = None,
        *,
        registry: CollectorRegistry | None = None,
        threads: Threads = OS_THREADS,
    ) -> None:
        self._service = service
        self._bus = bus
        self._settings = settings or WorkerSettings()
        self._metrics = WorkerMetrics(registry or CollectorRegistry())
        self._metrics.in_flight.set_function(lambda: self._num_open)
        self._threads = threads
        self._limit = RetryLimit(self._settings.retry_attempts, self._settings.retry_timeout_s)
        self._handling = Handling(
            service,
            self._limit,
            max_poison_in_a_row=self._settings.max_poison_in_a_row,
            threads=threads,
            on_retry=self._metrics.retries.inc,
        )
        self._pool = Pool(service.name, service.max_in_flight, self._fail, threads=threads)
        # Guards everything below; notified when there is enough room again, nothing is open or the worker failed.
        self._moved = threads.condition()
        self._offsets: dict[Partition, OpenOffsets] = {}
        self._num_open = self._num_sending = self._bytes_open = 0
        self._failure: BaseException | None = None
        self._is_assigned = self._is_paused = self._is_draining = False
        self._last_commit = self._last_observed = threads.monotonic()

    @property
    def is_assigned(self) -> bool:
        """Whether the group gave this member something to do. Not while it drains."""
        return self._is_assigned

    def run(self, stop: Stop) -> None:
        """Runs until `stop` is set, then finishes messages in flight and commits. Where it raises, what was finished is
        committed as well."""
        name = self._service.name
        producer = self._bus.producer(client_id=name)
        self._deliveries = Deliveries(producer, self._limit, self._metrics.retries.inc, threads=self._threads)
        self._consumer: GroupConsumer = self._bus.group_consumer(
            [self._service.reads.name], group=self._service.group, client_id=name, on_revoked=self._on_revoked
        )
        try:
            while not stop.is_set() and self._failure is None:
                self._turn()
            self._drain()
        finally:
            self._pool.close()
            self._consumer.close()
            producer.close()

    def _turn(self) -> None:
        """One poll, and the commits and checks that are due."""
        if self._is_paused:
            with self._moved:
                has_room = self._moved.wait_for(lambda: self._has_much_room() or self._failure, FULL_POLL_S)
            if has_room:
                self._consumer.resume(list(self._consumer.assigned()))
                self._is_paused = False
        room = 0 if self._is_paused else max(0, self._room())
        patience = BUSY_POLL_S if self._pool.has_waiting else POLL_S
        messages = self._consumer.poll(patience if room else 0.0, room or 1)
        if messages:
            self._begin(messages)
            if len(messages) < room:
                self._threads.sleep(self._settings.gather_s)
        self._tend()
        self._is_assigned = bool(self._consumer.assigned())
        if self._is_paused or self._room() <= 0:
            # Again and again: a rebalance may have brought partitions that are not paused yet.
            self._consumer.pause(list(self._consumer.assigned()))
            self._is_paused = True
        self._commit_if_due()
        self._observe_if_due()

    def _capacity(self) -> int:
        """Messages that may be taken up and not yet handed to the producer."""
        ahead = QUICK_AHEAD if self._pool.is_quick and self._bytes_open < MAX_BYTES_AHEAD else 0
        return self._service.max_in_flight + ahead

    def _room(self) -> int:
        """How many more messages may be taken up. Where little is sent and little waits, as many as can be handled."""
        if self._bytes_open >= MAX_BYTES_AHEAD:
            return self._service.max_in_flight - self._num_open
        return min(self._capacity() - (self._num_open - self._num_sending), MAX_SENDING - self._num_sending)

    def _has_much_room(self) -> bool:
        """Whether polling is worth it again after a pause."""
        return self._room() >= min(self._capacity(), MAX_SENDING) / 2

    def _begin(self, messages: Sequence[Incoming]) -> None:
        with self._moved:
            tasks = []
            for message in messages:
                offsets = self._offsets.setdefault(Partition(message.topic, message.partition), OpenOffsets())
                offsets.begin(message.offset, message.timestamp_ms)
                self._bytes_open += len(message.value)
                tasks.append(_Task(message, offsets))
            self._num_open += len(tasks)
        self._pool.put([partial(self._take_up, task) for task in tasks])

    def _tend(self) -> None:
        """Retries failed deliveries, and gives more threads to a pool without progress."""
        if due := self._deliveries.due():
            self._pool.put(due, first=True)
        self._pool.tend()

    def _take_up(self, task: _Task) -> None:
        if self._failure is not None:
            return  # and leave the message unfinished
        # A lost partition's new owner does this message again; the same ids come out of it. So does the next process
        # with what a draining one has not begun.
        if task.offsets.is_lost or self._is_draining:
            self._close(task, is_finished=False, was_sending=False)
            return
        task.began = self._threads.monotonic()
        outgoing, task.poison = self._handling.take_up(task.message)
        self._send(task, outgoing)
        self._handling.note(task.message, task.poison)

    def _bury(self, task: _Task, poison: PoisonError) -> None:
        task.poison = poison
        self._send(task, self._handling.dead_letter(task.message, poison))
        self._handling.note(task.message, poison)

    def _send(self, task: _Task, outgoing: Outgoing) -> None:
        with self._moved:
            self._num_sending += 1
        self._deliveries.start(outgoing, partial(self._delivered, task))

    def _delivered(self, task: _Task, error: Exception | None) -> None:
        """The end of a delivery, on the producer's thread, which must not see an error of ours."""
        try:
            self._conclude(task, error)
        except BaseException as bug:
            self._fail(bug)

    def _conclude(self, task: _Task, error: Exception | None) -> None:
        if error is None:
            if task.poison is None:
                self._metrics.ok.inc()
                self._metrics.seconds.observe(self._threads.monotonic() - task.began)
            else:
                self._metrics.handled.labels("poison").inc()
                self._metrics.dead_letters.labels(task.poison.reason).inc()
            self._close(task, is_finished=True, was_sending=True)
        elif isinstance(error, PoisonError) and task.poison is None:
            # The broker does not take the child.
            with self._moved:
                self._num_sending -= 1
            self._pool.put([partial(self._bury, task, error)], first=True)
        else:
            self._fail(error)

    def _close(self, task: _Task, *, is_finished: bool, was_sending: bool) -> None:
        with self._moved:
            if is_finished:
                task.offsets.finish(task.message.offset)
            self._num_open -= 1
            self._num_sending -= was_sending
            self._bytes_open -= len(task.message.value)
            if self._num_open == 0 or self._failure or (self._is_paused and self._has_much_room()):
                self._moved.notify_all()

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
        if self._threads.monotonic() - self._last_commit >= self._settings.commit_interval_s:
            self._commit(self._offsets)

    def _commit(self, of: Mapping[Partition, OpenOffsets]) -> None:
        self._last_commit = self._threads.monotonic()
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
        self._is_draining, self._is_assigned = True, False
        deadline = self._threads.monotonic() + self._settings.drain_timeout_s
        while self._failure is None and self._threads.monotonic() < deadline:
            self._consumer.pause(list(self._consumer.assigned()))
            self._consumer.poll(0.0, 1)
            self._tend()
            with self._moved:
                if self._moved.wait_for(lambda: self._num_open == 0 or self._failure, FULL_POLL_S):
                    break
        if self._failure is not None:
            self._settle()
            raise self._failure
        self._commit(self._offsets)
        _log.info("worker_drained", service=self._service.name, num_unfinished=self._num_open)

    def _settle(self) -> None:
        """After a failure: what is finished, or will be in a moment, is not to be done again."""
        with self._moved:
            self._moved.wait_for(lambda: self._num_sending == 0, SETTLE_S)
        try:
            self._commit(self._offsets)
        except Exception as error:
            # Of a broker that is gone, or of another bug. What ends the process is the first error.
            _log.warning("commit_at_failure_failed", error=type(error).__name__)

    def _observe_if_due(self) -> None:
        if self._threads.monotonic() - self._last_observed < OBSERVE_S:
            return
        self._last_observed = self._threads.monotonic()
        with self._moved:
            oldest = [ms for offsets in self._offsets.values() if (ms := offsets.oldest_ms()) is not None]
        self._metrics.age.set(max(0.0, self._threads.time() - min(oldest) / 1000) if oldest else 0.0)
        self._metrics.lag.set(sum(self._consumer.lag().values()))
