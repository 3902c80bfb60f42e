"""Time that belongs to the test."""

import threading
from dataclasses import dataclass

from tests.support.builders import NOON


@dataclass
class Clock:
    """Every look at it moves it on by `tick` seconds."""

    at: float = NOON
    tick: float = 0.0

    def __call__(self) -> float:
        self.at += self.tick
        return self.at


class Impatient(threading.Event):
    """A stop event that nobody waits for: whether it is set is known at once."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()
