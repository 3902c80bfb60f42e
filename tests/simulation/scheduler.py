"""Threads as greenlets on virtual time: one runs until it waits, then the seed says which goes on.

A `Process` is what a fault hits: it is killed (nothing of it ever runs again, not even `finally`) or stopped for a while
(SIGSTOP), with all its threads.
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from greenlet import GreenletExit, getcurrent, greenlet

T = TypeVar("T")

# 2026-01-01.
EPOCH = 1_767_225_600.0
# How often time moves on although something could run: a thread that the machine did not get to.
LATE_SHARE = 0.1
# Without a wait between them: a loop that never lets time go on.
MAX_STEPS_AT_ONE_TIME = 20_000


class StuckError(Exception):
    """Nothing can happen any more, or time no longer passes."""


class _Thread:
    __slots__ = ("greenlet", "holding", "name", "process", "token")

    def __init__(self, process: "Process", name: str, run: Callable[[], None], hub: greenlet) -> None:
        self.process = process
        self.name = name
        self.token = 0  # of the present wait: what wakes an earlier one comes too late
        self.holding = 0  # conditions
        self.greenlet = greenlet(run, hub)  # where it goes when it ends


class Scheduler:
    """`seed` decides everything that is left open."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self._hub = getcurrent()
        self._ready: list[_Thread] = []
        self._timers: list[tuple[float, int, Process | None, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._threads: list[_Thread] = []
        self._current: _Thread | None = None
        self._is_over = False

    def process(self, name: str, on_error: Callable[[BaseException], None]) -> "Process":
        """`on_error` gets what escaped from a thread of it."""
        return Process(self, name, on_error)

    @property
    def running(self) -> "Process":
        """Whose code is running. Only code of a process may ask."""
        assert self._current is not None, "the scheduler itself is no process"
        return self._current.process

    def at(self, when: float, act: Callable[[], None], of: "Process | None" = None) -> None:
        """Runs `act`, which must not wait, at that time; later while the process is stopped, never once it is killed."""
        heapq.heappush(self._timers, (when, next(self._numbers), of, act))

    def run_until(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Whether the condition became true by then."""
        num_steps, at = 0, self.now
        while not condition():
            if self.now > deadline:
                return False
            num_steps, at = (num_steps + 1, at) if at == self.now else (0, self.now)
            if num_steps > MAX_STEPS_AT_ONE_TIME:
                raise StuckError(f"time stands still at {self.now:.3f} s; ready: {[t.name for t in self._ready]}")
            self._step()
        return True

    def close(self) -> None:
        """Ends every thread. Its `finally` clauses run, but nothing they do reaches anybody."""
        self._is_over = True
        for thread in self._threads:
            if thread.greenlet and not thread.greenlet.dead:
                thread.greenlet.throw(GreenletExit)

    def pause(self) -> None:
        """Lets other threads run first. Does nothing outside a thread."""
        if self._current is not None and not self._is_over:
            thread = self._current
            assert not thread.holding, f"{thread.name} would make others wait for a condition that it holds"
            self._ready.append(thread)
            self._leave()

    def _step(self) -> None:
        able = [thread for thread in self._ready if thread.process.stopped_until <= self.now]
        if able and not (self._timers and self.rng.random() < LATE_SHARE):
            thread = able[self.rng.randrange(len(able))]
            self._ready.remove(thread)
            self._current = thread
            try:
                thread.greenlet.switch()
            finally:
                self._current = None
            return
        if not self._timers:
            raise StuckError(f"everything waits for ever, from {self.now:.3f} s on")
        when, number, process, act = heapq.heappop(self._timers)
        self.now = max(self.now, when)
        if process is not None and process.stopped_until > self.now:
            if not process.is_killed:
                heapq.heappush(self._timers, (process.stopped_until, number, process, act))
            return
        act()

    def _start(self, process: "Process", name: str, run: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                run()
            except GreenletExit:
                raise
            except BaseException as error:
                if not self._is_over:
                    process.on_error(error)

        thread = _Thread(process, name, guarded, self._hub)
        self._threads.append(thread)
        self._ready.append(thread)

    def _leave(self) -> None:
        """Back to the scheduler, until the thread is woken."""
        if self._is_over:
            raise GreenletExit
        self._hub.switch()
        if self._is_over:
            raise GreenletExit

    def _sleep(self, seconds: float) -> None:
        thread = self._current
        if thread is None or self._is_over:
            return
        assert not thread.holding, f"{thread.name} sleeps while it holds a condition"
        self.at(self.now + max(0.0, seconds), self._waking(thread), thread.process)
        self._leave()

    def _waking(self, thread: _Thread) -> Callable[[], None]:
        thread.token += 1
        token = thread.token

        def wake() -> None:
            if thread.token == token and not thread.process.is_killed:
                thread.token += 1
                self._ready.append(thread)

        return wake

    def _forget(self, process: "Process") -> None:
        self._ready = [thread for thread in self._ready if thread.process is not process]
        if self._current is not None and self._current.process is process:
            self._hub.switch()  # and never back


class Process:
    """Implements Threads for the code of one process."""

    def __init__(self, scheduler: Scheduler, name: str, on_error: Callable[[BaseException], None]) -> None:
        self.name = name
        self.on_error = on_error
        self.stopped_until = float("-inf")
        self.is_killed = False
        self._scheduler = scheduler

    def kill(self) -> None:
        self.is_killed = True
        self.stopped_until = float("inf")
        self._scheduler._forget(self)

    def stop_for(self, seconds: float) -> None:
        if not self.is_killed:
            self.stopped_until = max(self.stopped_until, self._scheduler.now + seconds)
            self._scheduler.at(self.stopped_until, lambda: None)

    def monotonic(self) -> float:
        return self._scheduler.now

    def time(self) -> float:
        return EPOCH + self._scheduler.now

    def sleep(self, seconds: float) -> None:
        self._scheduler._sleep(seconds)

    def condition(self) -> "_Condition":
        return _Condition(self._scheduler)

    def start(self, run: Callable[[], None], name: str) -> None:
        self._scheduler._start(self, f"{self.name}/{name}", run)


class _Condition:
    """One thread runs at a time and gives way only where it waits, so holding a condition needs no lock."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._waiting: deque[Callable[[], None]] = deque()

    def __enter__(self) -> bool:
        if (thread := self._scheduler._current) is not None:
            thread.holding += 1
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        if (thread := self._scheduler._current) is not None:
            thread.holding -= 1

    def wait(self, timeout: float | None = None) -> bool:
        scheduler, thread = self._scheduler, self._scheduler._current
        if thread is None or scheduler._is_over:
            raise GreenletExit
        assert thread.holding == 1, f"{thread.name} waits while it holds another condition"
        wake = scheduler._waking(thread)
        is_told = False

        def tell() -> None:
            nonlocal is_told
            is_told = True
            wake()

        self._waiting.append(tell)
        if timeout is not None:
            scheduler.at(scheduler.now + max(0.0, timeout), wake, thread.process)
        thread.holding = 0
        scheduler._leave()
        thread.holding = 1
        if not is_told and tell in self._waiting:
            self._waiting.remove(tell)
        return is_told

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        scheduler = self._scheduler
        deadline = None if timeout is None else scheduler.now + timeout
        while not (result := predicate()):
            remaining = None if deadline is None else deadline - scheduler.now
            if remaining is not None and remaining <= 0:
                break
            self.wait(remaining)
        return result

    def notify(self, n: int = 1) -> None:
        for _ in range(min(n, len(self._waiting))):
            self._waiting.popleft()()

    def notify_all(self) -> None:
        self.notify(len(self._waiting))
