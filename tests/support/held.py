"""A broker that acknowledges when the test says so, or never."""

import threading
from dataclasses import dataclass, field

from harden.bus.memory import MemoryBus
from harden.bus.ports import OnDone, Outgoing, Producer


@dataclass
class Held:
    """A message on its way."""

    bus: MemoryBus
    message: Outgoing
    on_done: OnDone

    def acknowledge(self) -> None:
        self.bus.append([self.message])
        self.on_done(None)

    def fail(self, error: Exception) -> None:
        self.on_done(error)


@dataclass
class _Producer:
    bus: "HoldingBus"

    def send(self, messages: list[Outgoing]) -> None:
        self.bus.append(messages)

    def send_async(self, message: Outgoing, on_done: OnDone) -> None:
        with self.bus.lock:
            self.bus.held.append(Held(self.bus, message, on_done))

    def close(self) -> None: ...


@dataclass
class HoldingBus(MemoryBus):
    """`held` are the messages that were sent without waiting, in their order, each until the test takes it out."""

    held: list[Held] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        super().__init__()
        self.create_topics()

    def producer(self, *, client_id: str) -> Producer:
        return _Producer(self)

    def take_held(self) -> list[Held]:
        with self.lock:
            taken, self.held[:] = list(self.held), []
        return taken
