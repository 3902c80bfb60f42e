"""Runs services in turns on the in-memory bus, so that what they do depends on the messages alone and not on timing.

The messages of one `put` go through all services before those of the next. A service handles up to `max_in_flight` messages
together, in their order. What becomes of one message is as in harden.runtime.worker; what is missing are offsets and
retried deliveries, which a bus in the same process does not need.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from harden.bus.memory import MemoryBus
from harden.bus.ports import Incoming, Outgoing
from harden.config import WorkerSettings
from harden.domain.errors import PoisonError
from harden.runtime.delivery import RetryLimit
from harden.runtime.handling import Handling
from harden.runtime.service import Service

TakenUp = tuple[Outgoing, PoisonError | None]
# Runs jobs, which may ask policies, and returns their results in order: `LockstepPolicies.run`.
RunJobs = Callable[[Sequence[Callable[[], TakenUp]]], list[TakenUp]]

_log = structlog.get_logger()


class Lockstep:
    """Owns a thread; `close` it. `services` in the order in which they follow one another. `on_failure` hears of an error that
    would end a worker."""

    def __init__(
        self,
        services: Sequence[Service],
        bus: MemoryBus,
        run: RunJobs,
        settings: WorkerSettings | None = None,
        *,
        on_failure: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        settings = settings or WorkerSettings()
        limit = RetryLimit(settings.retry_attempts, settings.retry_timeout_s)
        self._services = [(s, Handling(s, limit, max_poison_in_a_row=settings.max_poison_in_a_row)) for s in services]
        self._bus = bus
        self._run_jobs = run
        self._on_failure = on_failure
        self._is_stopped = False
        self._units: queue.SimpleQueue[Sequence[Incoming] | None] = queue.SimpleQueue()
        self._moved = threading.Condition()
        self._num_open = 0
        self._thread = threading.Thread(target=self._run, name="lockstep", daemon=True)
        self._thread.start()

    def put(self, messages: Sequence[Incoming]) -> None:
        """Returns at once."""
        with self._moved:
            self._num_open += 1
        self._units.put(messages)

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing more will come of what was put."""
        return self._is_stopped or self._num_open == 0

    def rest(self) -> bool:
        """Waits until everything that was put has come to its end. False where that will not be: it was stopped or failed."""
        with self._moved:
            self._moved.wait_for(lambda: self.is_at_rest)
            return not self._is_stopped

    def stop(self) -> None:
        """Messages that are not yet begun stay as they are."""
        with self._moved:
            self._is_stopped = True
            self._moved.notify_all()

    def close(self, timeout_s: float) -> None:
        self.stop()
        self._units.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while (messages := self._units.get()) is not None and not self._is_stopped:
                self._play(messages)
                with self._moved:
                    self._num_open -= 1
                    self._moved.notify_all()
        except BaseException as error:
            _log.exception("lockstep_failed")
            self._on_failure(error)
            self.stop()

    def _play(self, messages: Sequence[Incoming]) -> None:
        pending: dict[str, list[Incoming]] = {service.reads.name: [] for service, _ in self._services}
        _add(pending, messages)
        while not self._is_stopped:
            # The last service that has something goes first, so that verdicts come out as early as they can.
            found = next(((s, h) for s, h in reversed(self._services) if pending[s.reads.name]), None)
            if found is None:
                return
            service, handling = found
            waiting = pending[service.reads.name]
            pending[service.reads.name] = waiting[service.max_in_flight :]
            _add(pending, self._handle(handling, waiting[: service.max_in_flight]))

    def _handle(self, handling: Handling, messages: Sequence[Incoming]) -> list[Incoming]:
        """What came of the messages, as it stands on the bus, in their order."""
        taken_up = self._run_jobs([partial(handling.take_up, message) for message in messages])
        written: list[Incoming] = []
        for message, (outgoing, poison) in zip(messages, taken_up, strict=True):
            try:
                written += self._bus.append([outgoing])
            except PoisonError as error:
                if poison is not None:
                    raise
                # The bus does not take the child.
                poison = error
                written += self._bus.append([handling.dead_letter(message, error)])
            handling.note(message, poison)
        return written


def _add(pending: dict[str, list[Incoming]], messages: Sequence[Incoming]) -> None:
    """Adds each message to its topic, those excepted that no service reads."""
    for message in messages:
        if message.topic in pending:
            pending[message.topic].append(message)
