"""Threads that take jobs from one queue, as few of them as keep up.

Waking a thread costs more than a quick job does. While nearly all jobs are quick, one thread does them all, one after
the other; jobs that wait for something else get a thread each, up to the limit.
"""

from collections import deque
from collections.abc import Callable, Iterable

from harden.threads import OS_THREADS, Threads

Job = Callable[[], None]

# Seconds. Below this a second thread would cost more than it gains: handing over the interpreter takes about as long.
QUICK_S = 0.002
# Shares of jobs that take longer than that, at which jobs begin and cease to count as quick. A quick job is late now and
# then, because another thread had the interpreter (five milliseconds to a turn, so one in twenty) or another process the
# core: between the two shares nothing changes.
QUICK_BELOW, SLOW_ABOVE = 0.2, 0.5
# Weight of the newest job in that share.
NEWEST_WEIGHT = 0.05
# Seconds after which a job that others wait behind gets no more time alone.
STUCK_S = 0.01


class Pool:
    """`on_error` gets what a job raised; the thread that ran it ends."""

    def __init__(
        self, name: str, max_threads: int, on_error: Callable[[BaseException], None], *, threads: Threads = OS_THREADS
    ) -> None:
        self._threads = threads
        self._name = name
        self._max_threads = max_threads
        self._on_error = on_error
        # Guards everything below except the share, whose lost updates do not matter.
        self._ready = threads.condition()
        self._jobs: deque[Job] = deque()
        self._num_threads = 0
        self._num_idle = 0
        self._last_began = 0.0
        self._is_closed = False
        # Until something was measured, all jobs count as slow.
        self._slow_share = 1.0
        # Whether jobs take so little time that one thread does them all.
        self.is_quick = False

    @property
    def has_waiting(self) -> bool:
        """Whether jobs wait for a thread."""
        return bool(self._jobs)

    def put(self, jobs: Iterable[Job], *, first: bool = False) -> None:
        """Queues the jobs; before all that wait where they are to be `first`."""
        with self._ready:
            if first:
                self._jobs.extendleft(jobs)
            else:
                self._jobs.extend(jobs)
            is_anyone_busy = self._num_threads > self._num_idle
            if not self.is_quick:
                self._wake(len(self._jobs))
            elif not is_anyone_busy:
                self._wake(1)

    def tend(self) -> None:
        """To be called often while jobs wait. Where one has been going on for long, the others get threads after all."""
        with self._ready:
            if self._jobs and self._threads.monotonic() - self._last_began > STUCK_S:
                self._wake(len(self._jobs))

    def close(self) -> None:
        """Jobs that have not begun never begin. Does not wait for those that have."""
        with self._ready:
            self._is_closed = True
            self._jobs.clear()
            self._ready.notify_all()

    def _wake(self, num_wanted: int) -> None:
        """Under the lock. The caller that wakes a thread counts it as busy, so that it is not woken twice."""
        woken = min(num_wanted, self._num_idle)
        self._num_idle -= woken
        self._ready.notify(woken)
        for _ in range(min(num_wanted - woken, self._max_threads - self._num_threads)):
            self._threads.start(self._run, f"{self._name}-{self._num_threads}")
            self._num_threads += 1

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._jobs:
                    if self._is_closed:
                        return
                    self._num_idle += 1
                    self._ready.wait()
                job = self._jobs.popleft()
                self._last_began = began = self._threads.monotonic()
            try:
                job()
            except BaseException as error:
                self._on_error(error)
                return
            is_slow = self._threads.monotonic() - began > QUICK_S
            self._slow_share += NEWEST_WEIGHT * (is_slow - self._slow_share)
            self.is_quick = self._slow_share < (SLOW_ABOVE if self.is_quick else QUICK_BELOW)
