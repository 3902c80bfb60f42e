"""Messages on their way to the broker: sent without waiting, tried again with a limit, ended exactly once."""

import heapq
import itertools
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from harden.bus.ports import Outgoing, Producer
from harden.domain.errors import TransientError
from harden.runtime.pool import Job
from harden.threads import OS_THREADS, Threads

FIRST_WAIT_S = 0.1
MAX_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class RetryLimit:
    """How often and for how long (seconds, from the first try) something is tried."""

    attempts: int
    timeout_s: float

    def wait_s(self, num_tries: int, elapsed_s: float) -> float | None:
        """The pause before the next try, doubling with each; None where the limit is reached."""
        longest = min(MAX_WAIT_S, FIRST_WAIT_S * 2 ** min(num_tries - 1, 16))
        # Up to half of it at random, so that what failed together does not come back together.
        wait = longest * random.uniform(0.5, 1.0)
        return wait if num_tries < self.attempts and elapsed_s + wait < self.timeout_s else None


@dataclass(slots=True)
class _Delivery:
    message: Outgoing
    on_end: Callable[[Exception | None], None]
    began: float
    num_tries: int = 0


class Deliveries:
    """`on_retry` is called before each further try."""

    def __init__(
        self, producer: Producer, limit: RetryLimit, on_retry: Callable[[], None], *, threads: Threads = OS_THREADS
    ) -> None:
        self._threads = threads
        self._producer = producer
        self._limit = limit
        self._on_retry = on_retry
        self._lock = threading.Lock()
        self._waiting: list[tuple[float, int, _Delivery]] = []  # a heap: when it is due, a number that breaks ties
        self._numbers = itertools.count()

    def start(self, message: Outgoing, on_end: Callable[[Exception | None], None]) -> None:
        """Returns without waiting. `on_end` is called once, from any thread: with None when the message is acknowledged,
        with a TransientError when retries ran out, at once with any other error of the producer."""
        self._try(_Delivery(message, on_end, self._threads.monotonic()))

    def due(self) -> list[Job]:
        """The further tries whose time has come, as jobs for a thread that may wait."""
        if not self._waiting:
            return []
        now = self._threads.monotonic()
        jobs: list[Job] = []
        with self._lock:
            while self._waiting and self._waiting[0][0] <= now:
                jobs.append(partial(self._retry, heapq.heappop(self._waiting)[2]))
        return jobs

    def _retry(self, delivery: _Delivery) -> None:
        self._on_retry()
        self._try(delivery)

    def _try(self, delivery: _Delivery) -> None:
        delivery.num_tries += 1
        try:
            self._producer.send_async(delivery.message, partial(self._done, delivery))
        except Exception as error:
            self._done(delivery, error)

    def _done(self, delivery: _Delivery, error: Exception | None) -> None:
        if isinstance(error, TransientError):
            now = self._threads.monotonic()
            wait_s = self._limit.wait_s(delivery.num_tries, now - delivery.began)
            if wait_s is not None:
                with self._lock:
                    heapq.heappush(self._waiting, (now + wait_s, next(self._numbers), delivery))
                return
        delivery.on_end(error)
