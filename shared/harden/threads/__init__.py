"""Threads, waiting and time behind one port, so that a simulation can run the same code with time and order of its own.

Code that waits for other threads takes a `Threads`; `OsThreads` is the machine's. Locks that are held for a few lines,
and across no wait, need no port.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, TypeVar

T = TypeVar("T")


class Condition(Protocol):
    """As threading.Condition: it is held while anything but `__enter__` is called."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...

    def wait(self, timeout: float | None = None) -> bool: ...

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T: ...

    def notify(self, n: int = 1) -> None: ...

    def notify_all(self) -> None: ...


class Stop(Protocol):
    """As threading.Event, for those who are to end when it is set."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool: ...


class Threads(Protocol):
    def monotonic(self) -> float:
        """Seconds, from a point that means nothing."""
        ...

    def time(self) -> float:
        """Seconds since 1970."""
        ...

    def sleep(self, seconds: float) -> None: ...

    def condition(self) -> Condition: ...

    def start(self, run: Callable[[], None], name: str) -> None:
        """Runs it in a thread of its own, which does not keep the process alive."""
        ...


class OsThreads:
    """The machine's."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def condition(self) -> Condition:
        return threading.Condition()

    def start(self, run: Callable[[], None], name: str) -> None:
        threading.Thread(target=run, name=name, daemon=True).start()


OS_THREADS = OsThreads()
