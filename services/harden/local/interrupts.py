"""Ctrl-C, SIGTERM and a closed terminal, as one exception, once, and never in the middle of stopping things."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Interrupts:
    """While entered, the first of the signals raises Interrupted in the main thread; later ones are ignored.

    Inside `shield` not even the first one raises: it is for code that must come to its end, and is asked for afterwards.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._num_shields = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def shield(self) -> Iterator[None]:
        self._num_shields += 1
        try:
            yield
        finally:
            self._num_shields -= 1

    def raise_if_received(self) -> None:
        if self.received is not None:
            raise Interrupted(self.received)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            return
        self.received = number
        if self._num_shields == 0:
            raise Interrupted(number)
