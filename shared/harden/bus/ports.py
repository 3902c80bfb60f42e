"""The bus port. Bytes in and out; the codec gives them meaning."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Outgoing:
    topic: str
    key: bytes
    value: bytes
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Incoming:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Headers
    timestamp_ms: int


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One partition of one topic."""

    topic: str
    number: int


OnDone = Callable[[Exception | None], None]


class ExclusiveProducer(Protocol):
    """Idempotent, acks=all, one transaction per call. Raises FencedError once another of its name has been opened,
    TransientError where a retry may help, PoisonError("oversized") where it cannot."""

    def send(self, messages: Sequence[Outgoing]) -> None:
        """Returns when all of them are acknowledged. All of them are written or none."""
        ...

    def close(self) -> None: ...


class Producer(Protocol):
    """Idempotent, acks=all. Used by many threads. Raises TransientError where a retry may help, PoisonError("oversized")
    where it cannot."""

    def send(self, messages: Sequence[Outgoing]) -> None:
        """Returns when all of them are acknowledged."""
        ...

    def send_async(self, message: Outgoing, on_done: OnDone) -> None:
        """Returns when the message is on its way; it waits only while the producer's buffer is full.

        `on_done` is called once: with None when the message is acknowledged, with what `send` would raise when it has
        failed. It runs on the producer's own thread, or here, so it must be quick and must not raise or wait. Where this
        call itself raises, `on_done` is not called.
        """
        ...

    def close(self) -> None:
        """Waits a few seconds for messages on their way; `on_done` of the rest gets an error."""
        ...


class GroupConsumer(Protocol):
    """A member of a consumer group. Used by one thread; `poll` must be called often, also while everything is paused."""

    def poll(self, timeout_s: float, max_records: int) -> list[Incoming]: ...

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Their records are not returned until resumed. Survives a rebalance that leaves the partition here."""
        ...

    def resume(self, partitions: Sequence[Partition]) -> None: ...

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """`offsets[partition]` is the next one to read. Raises TransientError where the group is rebalancing."""
        ...

    def assigned(self) -> frozenset[Partition]: ...

    def lag(self) -> Mapping[Partition, int]:
        """Records not yet polled, for each partition assigned."""
        ...

    def close(self) -> None: ...


class LogReader(Protocol):
    """Reads whole topics from chosen offsets with no group and no commits: for followers of state and for the trainer."""

    def poll(self, timeout_s: float, max_records: int) -> list[Incoming]: ...

    def position(self) -> Mapping[Partition, int]:
        """The next offset of every partition of every topic read."""
        ...

    def caught_up(self) -> bool:
        """Whether everything that was there at the time of the call has been polled."""
        ...

    def close(self) -> None: ...


class Bus(Protocol):
    def producer(self, *, client_id: str) -> Producer: ...

    def exclusive_producer(self, *, client_id: str, exclusive_name: str) -> ExclusiveProducer:
        """The only live one of that name: an earlier one gets FencedError at its next send."""
        ...

    def group_consumer(
        self,
        topics: Sequence[str],
        *,
        group: str,
        client_id: str,
        on_revoked: Callable[[frozenset[Partition]], None],
    ) -> GroupConsumer:
        """Starts at the group's committed offsets, or at the beginning.

        `on_revoked` runs inside `poll`, not necessarily on its thread, while a commit still counts; not at `close`.
        """
        ...

    def log_reader(self, topics: Sequence[str], *, client_id: str, start: Mapping[Partition, int] | None = None) -> LogReader:
        """From `start` (offset per partition); partitions it does not name are read from the beginning."""
        ...

    def create_topics(self) -> list[str]:
        """Creates what the catalogue names and the broker lacks; returns the names created."""
        ...

    def check_topics(self) -> None:
        """Raises SetupError naming every catalogue topic that is missing or set otherwise, and the remedy."""
        ...

    def close(self) -> None: ...
