"""A bus that does to its clients what a real broker does and the in-memory one does not.

    transactions    leave markers between the offsets; aborted ones leave gaps; an open one holds readers back, until its
                    writer's heir or a timeout aborts it
    sends           get lost, or are written and their acknowledgement gets lost or comes late
    commits         are refused, or count and their answer gets lost
    topics          lose their oldest records to retention, and earlier records of a key to compaction
    records         may have no key and no value, and may come twice

What a client does may take its time: others go on meanwhile.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeVar

from harden.bus.memory import MemoryBus, as_it_arrives
from harden.bus.ports import ExclusiveProducer, GroupConsumer, Incoming, OnDone, Outgoing, Partition, Producer
from harden.domain.errors import FencedError, TransientError
from harden.threads import Threads
from harden.topics import CATALOGUE, Topic

T = TypeVar("T")

# Without a poll for so long, a member is no member.
MAX_POLL_INTERVAL_S = 10.0
TRANSACTION_TIMEOUT_S = 15.0
ACK_S = 0.002


def by_timer(seconds: float, act: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


class Fate(Enum):
    """Of what a client asks of the broker."""

    DONE = auto()
    ANSWER_LOST = auto()
    LOST = auto()


@dataclass
class Network:
    """Between clients and broker. Lists are what happens to the next ones, first to last; then everything goes well."""

    sends: list[Fate] = field(default_factory=list)
    commits: list[Fate] = field(default_factory=list)
    ack_delays_s: list[float] = field(default_factory=list)
    pause: Callable[[], None] = lambda: None
    # Run something that does not wait, later: in the process that asks, and on the broker.
    later: Callable[[float, Callable[[], None]], None] = by_timer
    broker_later: Callable[[float, Callable[[], None]], None] = by_timer


class _State(Enum):
    OPEN = auto()
    COMMITTED = auto()
    ABORTED = auto()


@dataclass(eq=False)
class _Transaction:
    state: _State = _State.OPEN
    first: dict[Partition, int] = field(default_factory=dict)  # offset of its first record in each partition it wrote to


@dataclass(frozen=True)
class _Record:
    message: Incoming
    transaction: _Transaction | None = None

    @property
    def is_readable(self) -> bool:
        return self.transaction is None or self.transaction.state is _State.COMMITTED


class SimulatedBus(MemoryBus):
    """What readers see now or later is in `records`, with None where an offset has nothing for anybody.

    `on_commit` hears of every commit that counts, before its caller does.
    """

    def __init__(
        self,
        threads: Threads,
        catalogue: Iterable[Topic] = CATALOGUE,
        *,
        network: Network | None = None,
        max_poll_interval_s: float = MAX_POLL_INTERVAL_S,
        on_commit: Callable[[str, Mapping[Partition, int]], None] = lambda group, offsets: None,
    ) -> None:
        super().__init__(catalogue, max_poll_interval_s=max_poll_interval_s, threads=threads)
        self.network = network or Network()
        self.on_commit = on_commit
        self.records: dict[Partition, list[_Record | None]] = {}
        self.begins: dict[Partition, int] = {}
        self._epoch_of: dict[str, int] = {}
        self._transaction_of: dict[str, _Transaction] = {}
        self._opened: list[_Transaction] = []

    def create_topics(self) -> list[str]:
        created = super().create_topics()
        for partition in self.partitions_of(created):
            self.records[partition], self.begins[partition] = [], 0
        return created

    def producer(self, *, client_id: str) -> Producer:
        return _Producer(self)

    def exclusive_producer(self, *, client_id: str, exclusive_name: str) -> ExclusiveProducer:
        self.network.pause()
        with self.changed:
            self._epoch_of[exclusive_name] = self._epoch_of.get(exclusive_name, 0) + 1
            # What the one before left open is no longer to come.
            self.end(self._transaction_of.get(exclusive_name), _State.ABORTED)
        return _ExclusiveProducer(self, exclusive_name, self._epoch_of[exclusive_name])

    def group_consumer(
        self,
        topics: Sequence[str],
        *,
        group: str,
        client_id: str,
        on_revoked: Callable[[frozenset[Partition]], None],
    ) -> GroupConsumer:
        inner = super().group_consumer(topics, group=group, client_id=client_id, on_revoked=on_revoked)
        return _GroupConsumer(self, inner, group)

    def append(self, messages: Sequence[Outgoing]) -> list[Incoming]:
        with self.changed:
            self.check(messages)
            return [self.write(message) for message in messages]

    def end_of(self, partition: Partition) -> int:
        """Where readers of committed records come to an end: at the first one of an open transaction."""
        begun = [transaction.first[partition] for transaction in self._opened if partition in transaction.first]
        return min(begun, default=len(self.records[partition]))

    def take(self, positions: dict[Partition, int], order: list[Partition], max_records: int) -> list[Incoming]:
        taken: list[Incoming] = []
        for partition in list(order):
            records, end = self.records[partition], self.end_of(partition)
            # A reader whose place is gone goes on with the oldest record there is.
            position = max(positions[partition], self.begins[partition])
            num_before = len(taken)
            while position < end and len(taken) < max_records:
                record = records[position]
                if record is not None and record.is_readable:
                    taken.append(record.message)
                position += 1
            positions[partition] = position
            if len(taken) > num_before:
                order.remove(partition)
                order.append(partition)
            if len(taken) == max_records:
                break
        return taken

    def is_current(self, name: str, epoch: int) -> bool:
        return self._epoch_of.get(name) == epoch

    def begin(self, name: str) -> _Transaction:
        transaction = self._transaction_of[name] = _Transaction()
        self._opened.append(transaction)
        self.network.broker_later(TRANSACTION_TIMEOUT_S, lambda: self.end(transaction, _State.ABORTED))
        return transaction

    def write(self, message: Outgoing, transaction: _Transaction | None = None) -> Incoming:
        return self.place(message, self.partition_of(message), transaction)

    def place(self, message: Outgoing, partition: Partition, transaction: _Transaction | None = None) -> Incoming:
        """Unchecked, as a foreign writer would."""
        with self.changed:
            records = self.records[partition]
            written = as_it_arrives(message, partition, len(records), int(self.threads.time() * 1000))
            records.append(_Record(written, transaction))
            if transaction is not None:
                transaction.first.setdefault(partition, written.offset)
            else:  # what is open is for nobody yet
                self.changed.notify_all()
        return written

    def place_again(self, message: Incoming, partition: Partition) -> None:
        """A second copy of the record."""
        copy = Outgoing(message.topic, message.key, message.value, message.headers)  # type: ignore[arg-type]  # or no key
        self.place(copy, partition)

    def end(self, transaction: _Transaction | None, state: _State) -> None:
        if transaction is None or transaction.state is not _State.OPEN:
            return
        with self.changed:
            transaction.state = state
            self._opened.remove(transaction)
            for partition in transaction.first:
                self.records[partition].append(None)  # the marker
            self.changed.notify_all()

    def expire(self, partition: Partition, before: int) -> None:
        """By retention: nothing before that offset is there any more."""
        with self.changed:
            self.begins[partition] = max(self.begins[partition], min(before, self.end_of(partition)))

    def compact(self, partition: Partition) -> None:
        """Only the last record of each key stays, at its offset. Aborted ones go, open ones do not."""
        with self.changed:
            records, kept = self.records[partition], set[bytes | None]()
            for n in reversed(range(self.end_of(partition))):
                if (record := records[n]) is None:
                    continue
                if record.is_readable and record.message.key not in kept:
                    kept.add(record.message.key)
                else:
                    records[n] = None

    def committed(self, group: str) -> Mapping[Partition, int]:
        """The offsets that the group has committed."""
        return self._groups[group].committed if group in self._groups else {}

    def readable(self, partition: Partition) -> list[Incoming]:
        """What was ever written there for readers and was not compacted, expired or not."""
        return [record.message for record in self.records[partition] if record is not None and record.is_readable]


class _Producer:
    def __init__(self, bus: SimulatedBus) -> None:
        self._bus = bus

    def send(self, messages: Sequence[Outgoing]) -> None:
        network = self._bus.network
        network.pause()
        self._bus.check(messages)
        for message in messages:
            fate = next_of(network.sends, Fate.DONE)
            if fate is not Fate.LOST:
                self._bus.append([message])
            if fate is not Fate.DONE:
                raise TransientError("the broker did not answer in time")
        network.pause()

    def send_async(self, message: Outgoing, on_done: OnDone) -> None:
        network = self._bus.network
        network.pause()
        self._bus.check([message])
        fate = next_of(network.sends, Fate.DONE)
        if fate is not Fate.LOST:
            self._bus.append([message])
        error = None if fate is Fate.DONE else TransientError("the broker did not answer in time")
        network.later(next_of(network.ack_delays_s, ACK_S), lambda: on_done(error))

    def close(self) -> None: ...


class _ExclusiveProducer:
    def __init__(self, bus: SimulatedBus, name: str, epoch: int) -> None:
        self._bus = bus
        self._name = name
        self._epoch = epoch

    def send(self, messages: Sequence[Outgoing]) -> None:
        bus = self._bus
        bus.network.pause()
        self._check_fence()
        bus.check(messages)
        transaction = bus.begin(self._name)
        for message in messages:
            bus.write(message, transaction)
            bus.network.pause()
        self._check_fence()
        if transaction.state is not _State.OPEN:
            raise TransientError("the transaction took longer than the broker waits")
        fate = next_of(bus.network.sends, Fate.DONE)
        bus.end(transaction, _State.ABORTED if fate is Fate.LOST else _State.COMMITTED)
        if fate is not Fate.DONE:
            raise TransientError("the broker did not answer in time")
        bus.network.pause()

    def close(self) -> None: ...

    def _check_fence(self) -> None:
        if not self._bus.is_current(self._name, self._epoch):
            raise FencedError(f"another process took over as {self._name!r}; this one must end")


class Open:
    """A transaction that somebody has begun and may never end."""

    def __init__(self, bus: SimulatedBus, name: str) -> None:
        self._bus = bus
        self._transaction = bus.begin(name)

    def write(self, message: Outgoing) -> None:
        self._bus.write(message, self._transaction)

    def end(self, commits: bool) -> None:
        self._bus.end(self._transaction, _State.COMMITTED if commits else _State.ABORTED)


class _GroupConsumer:
    """The in-memory one, which knows who owns what, behind the network."""

    def __init__(self, bus: SimulatedBus, inner: GroupConsumer, group: str) -> None:
        self._bus = bus
        self._inner = inner
        self._group = group
        self.pause, self.resume, self.assigned, self.lag = inner.pause, inner.resume, inner.assigned, inner.lag
        self.close = inner.close

    def poll(self, timeout_s: float, max_records: int) -> list[Incoming]:
        self._bus.network.pause()
        return self._inner.poll(timeout_s, max_records)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        network = self._bus.network
        network.pause()
        fate = next_of(network.commits, Fate.DONE)
        if fate is Fate.LOST:
            raise TransientError("commit refused: the group is rebalancing")
        self._inner.commit(offsets)
        self._bus.on_commit(self._group, offsets)
        network.pause()
        if fate is Fate.ANSWER_LOST:
            raise TransientError("the broker did not answer in time")


def next_of(waiting: list[T], otherwise: T) -> T:
    return waiting.pop(0) if waiting else otherwise
