"""One message in, one message out: decode, handle, encode, or bury. What every way of running a service shares."""

import threading
from collections.abc import Callable, Mapping

import structlog

from harden import codec
from harden.bus.ports import Incoming, Outgoing
from harden.domain.errors import PoisonError, TransientError
from harden.domain.events import Fact
from harden.runtime import tracing
from harden.runtime.children import child_of, dead_letter_of
from harden.runtime.delivery import RetryLimit
from harden.runtime.service import Service
from harden.threads import OS_THREADS, Threads

_log = structlog.get_logger()


class TooMuchPoison(Exception):
    """So many messages in a row could not be used that the code, not the data, must be wrong."""


class Handling:
    """Of one service. Used by many threads. `on_retry` is called before each further try."""

    def __init__(
        self,
        service: Service,
        limit: RetryLimit,
        *,
        max_poison_in_a_row: int,
        threads: Threads = OS_THREADS,
        on_retry: Callable[[], None] = lambda: None,
    ) -> None:
        self._service = service
        self._limit = limit
        self._max_poison_in_a_row = max_poison_in_a_row
        self._threads = threads
        self._on_retry = on_retry
        self._lock = threading.Lock()
        self._poison_in_a_row = 0

    def take_up(self, message: Incoming) -> tuple[Outgoing, PoisonError | None]:
        """The child of the message; or its dead letter, and why it is dead.

        Raises TransientError when retries are exhausted. Any other error is a bug.
        """
        service = self._service
        with tracing.span_of(message, f"{service.name} handle") as trace:
            try:
                event = codec.from_message(service.reads, message)
                fact = self._result(event.fact)
                child = child_of(event, fact, service=service.name, now=self._threads.time())
                return codec.to_message(codec.topic_of(fact, service.writes), child, trace), None
            except PoisonError as poison:
                return self.dead_letter(message, poison, trace), poison

    def dead_letter(self, message: Incoming, poison: PoisonError, trace: Mapping[str, str] | None = None) -> Outgoing:
        dead = dead_letter_of(message, poison, service=self._service.name, now=self._threads.time())
        return codec.dead_letter_message(self._service.reads, dead, trace or {})

    def note(self, message: Incoming, poison: PoisonError | None) -> None:
        """Counts dead letters in a row, once what `take_up` gave is on its way. Raises TooMuchPoison at the limit."""
        if poison is None:
            if self._poison_in_a_row:
                with self._lock:
                    self._poison_in_a_row = 0
            return
        # Not the detail: it may quote the message.
        position = f"{message.topic}[{message.partition}]@{message.offset}"
        _log.warning("message_dead_lettered", reason=poison.reason, position=position)
        with self._lock:
            self._poison_in_a_row += 1
            num_in_a_row = self._poison_in_a_row
        if num_in_a_row >= self._max_poison_in_a_row:
            raise TooMuchPoison(
                f"{num_in_a_row} messages in a row of {message.topic} could not be used, the last one at {position} "
                f"({poison.reason}). Look at them with `harden dead-letters list`; when writers and readers agree again, "
                "`harden dead-letters replay --all` brings them back"
            )

    def _result(self, fact: Fact) -> Fact:
        """What the service makes of `fact`, retried on TransientError, which is raised when retries are exhausted."""
        began = self._threads.monotonic()
        num_tries = 1
        while True:
            try:
                return self._service.handle(fact)
            except TransientError:
                wait_s = self._limit.wait_s(num_tries, self._threads.monotonic() - began)
                if wait_s is None:
                    raise
            self._threads.sleep(wait_s)
            num_tries += 1
            self._on_retry()
