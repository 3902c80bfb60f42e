"""A broker in this process: for the ring in one process and for tests. Keeps what Kafka keeps, as long as it lives.

One lock guards everything; a poll that finds nothing sleeps on its condition until something is sent, a group
changes or its time is over. Nothing is compacted and nothing expires: a process that would need that needs Kafka.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from harden.bus.layout import Layout, layouts, size_of
from harden.bus.ports import ExclusiveProducer, GroupConsumer, Incoming, LogReader, OnDone, Outgoing, Partition, Producer
from harden.domain.errors import FencedError, PoisonError, SetupError, TransientError
from harden.threads import OS_THREADS, Threads
from harden.topics import CATALOGUE, Topic

# Kafka's own default for max.poll.interval.ms.
MAX_POLL_INTERVAL_S = 300.0


class MemoryBus:
    """The bus port over lists.

    `on_append` is called under the lock with the messages of each `append`, before anyone can read them.
    """

    def __init__(
        self,
        catalogue: Iterable[Topic] = CATALOGUE,
        *,
        max_poll_interval_s: float = MAX_POLL_INTERVAL_S,
        threads: Threads = OS_THREADS,
        on_append: Callable[[Sequence[Incoming]], None] = lambda messages: None,
    ) -> None:
        self._layouts = {layout.name: layout for layout in layouts(catalogue)}
        self.max_poll_interval_s = max_poll_interval_s
        self.threads = threads
        self._on_append = on_append
        self.changed = threads.condition()
        self.logs: dict[Partition, list[Incoming]] = {}
        self._topics: dict[str, Layout] = {}
        self._groups: dict[str, _Group] = {}
        self._epochs: dict[str, int] = {}

    def producer(self, *, client_id: str) -> Producer:
        return _Producer(self, is_current=lambda: True, name=client_id)

    def exclusive_producer(self, *, client_id: str, exclusive_name: str) -> ExclusiveProducer:
        with self.changed:
            epoch = self._epochs.get(exclusive_name, 0) + 1
            self._epochs[exclusive_name] = epoch
        return _Producer(self, is_current=lambda: self._epochs[exclusive_name] == epoch, name=exclusive_name)

    def group_consumer(
        self,
        topics: Sequence[str],
        *,
        group: str,
        client_id: str,
        on_revoked: Callable[[frozenset[Partition]], None],
    ) -> GroupConsumer:
        with self.changed:
            partitions = self.partitions_of(topics)
            shared = self._groups.setdefault(group, _Group(self.max_poll_interval_s))
        return _GroupConsumer(self, shared, partitions, on_revoked)

    def log_reader(self, topics: Sequence[str], *, client_id: str, start: Mapping[Partition, int] | None = None) -> LogReader:
        with self.changed:
            positions = dict.fromkeys(self.partitions_of(topics), 0)
        return _LogReader(self, positions | dict(start or {}))

    def create_topics(self) -> list[str]:
        with self.changed:
            created = [name for name in self._layouts if name not in self._topics]
            for name in created:
                self._topics[name] = self._layouts[name]
                self.logs |= {Partition(name, n): [] for n in range(self._layouts[name].num_partitions)}
        return created

    def check_topics(self) -> None:
        with self.changed:
            missing = [name for name in self._layouts if name not in self._topics]
        if missing:
            raise SetupError(f"topics missing: {', '.join(missing)}; create them with `harden topics create`")

    def close(self) -> None:
        """Does nothing: the log lives as long as the bus object."""

    def append(self, messages: Sequence[Outgoing]) -> list[Incoming]:
        """All of them or, where one cannot be taken, none."""
        with self.changed:
            self.check(messages)
            now_ms = int(self.threads.time() * 1000)
            appended = []
            for message in messages:
                partition = self.partition_of(message)
                log = self.logs[partition]
                log.append(as_it_arrives(message, partition, len(log), now_ms))
                appended.append(log[-1])
            self._on_append(appended)
            self.changed.notify_all()
        return appended

    def check(self, messages: Sequence[Outgoing]) -> None:
        """SetupError for a topic that does not exist, PoisonError for a message that its topic cannot hold."""
        for message in messages:
            layout = self._layout(message.topic)
            if size_of(message) > layout.max_message_bytes:
                raise PoisonError(
                    "oversized", f"{size_of(message)} bytes for {layout.name}, whose limit is {layout.max_message_bytes}"
                )

    def partition_of(self, message: Outgoing) -> Partition:
        """By its key."""
        return Partition(message.topic, zlib.crc32(message.key) % self._topics[message.topic].num_partitions)

    def partitions_of(self, topics: Sequence[str]) -> list[Partition]:
        return [Partition(name, n) for name in topics for n in range(self._layout(name).num_partitions)]

    def end_of(self, partition: Partition) -> int:
        """The offset that the next record gets."""
        return len(self.logs[partition])

    def take(self, positions: dict[Partition, int], order: list[Partition], max_records: int) -> list[Incoming]:
        """The next records of `order`'s partitions; moves `positions`, and rotates `order` so that no partition starves."""
        taken: list[Incoming] = []
        for partition in list(order):
            begin = positions[partition]
            found = self.logs[partition][begin : begin + max_records - len(taken)]
            if found:
                positions[partition] = begin + len(found)
                taken += found
                order.remove(partition)
                order.append(partition)
            if len(taken) == max_records:
                break
        return taken

    def _layout(self, name: str) -> Layout:
        if name not in self._topics:
            raise SetupError(f"topic {name} does not exist; create the topics with `harden topics create`")
        return self._topics[name]


def as_it_arrives(message: Outgoing, partition: Partition, offset: int, timestamp_ms: int) -> Incoming:
    return Incoming(message.topic, partition.number, offset, message.key, message.value, tuple(message.headers), timestamp_ms)


class _Producer:
    def __init__(self, bus: MemoryBus, *, is_current: Callable[[], bool], name: str) -> None:
        self._bus = bus
        self._is_current = is_current
        self._name = name

    def send(self, messages: Sequence[Outgoing]) -> None:
        with self._bus.changed:
            if not self._is_current():
                raise FencedError(f"another process took over as {self._name!r}; this one must end")
            self._bus.append(messages)

    def send_async(self, message: Outgoing, on_done: OnDone) -> None:
        self.send([message])
        on_done(None)

    def close(self) -> None: ...


class _LogReader:
    def __init__(self, bus: MemoryBus, positions: dict[Partition, int]) -> None:
        self._bus = bus
        self._positions = positions
        self._order = sorted(positions)

    def poll(self, timeout_s: float, max_records: int) -> list[Incoming]:
        bus = self._bus
        deadline = bus.threads.monotonic() + timeout_s
        with bus.changed:
            while True:
                taken = bus.take(self._positions, self._order, max_records)
                remaining = deadline - bus.threads.monotonic()
                if taken or remaining <= 0:
                    return taken
                bus.changed.wait(remaining)

    def position(self) -> Mapping[Partition, int]:
        return dict(self._positions)

    def caught_up(self) -> bool:
        with self._bus.changed:
            return all(position >= self._bus.end_of(partition) for partition, position in self._positions.items())

    def close(self) -> None: ...


class _GroupConsumer:
    """Positions and pauses are this member's own; who owns a partition is the group's business."""

    def __init__(
        self, bus: MemoryBus, group: "_Group", partitions: list[Partition], on_revoked: Callable[[frozenset[Partition]], None]
    ) -> None:
        self._bus = bus
        self._group = group
        self._on_revoked = on_revoked
        self.partitions = partitions
        self._positions: dict[Partition, int] = {}
        self._order: list[Partition] = []
        self._paused: set[Partition] = set()

    def poll(self, timeout_s: float, max_records: int) -> list[Incoming]:
        bus, group = self._bus, self._group
        deadline = bus.threads.monotonic() + timeout_s
        while True:
            with bus.changed:
                is_member = group.touch(self, bus.threads.monotonic())
                leaving = frozenset(p for p in self._positions if not is_member or group.target.get(p) is not self)
                if not leaving:
                    if group.join(self, bus.threads.monotonic()):
                        bus.changed.notify_all()
                    self._claim()
                    unpaused = [partition for partition in self._order if partition not in self._paused]
                    taken = bus.take(self._positions, unpaused, max_records)
                    self._order = [p for p in self._order if p in self._paused] + unpaused
                    remaining = deadline - bus.threads.monotonic()
                    if taken or remaining <= 0:
                        return taken
                    bus.changed.wait(min(remaining, group.until_next_expiry(bus.threads.monotonic())))
                    continue
            # Outside the lock: the listener commits, and may wait for threads that send.
            self._on_revoked(leaving)
            self._release(leaving)

    def pause(self, partitions: Sequence[Partition]) -> None:
        self._paused |= set(partitions)

    def resume(self, partitions: Sequence[Partition]) -> None:
        self._paused -= set(partitions)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        with self._bus.changed:
            foreign = [partition for partition in offsets if self._group.owner.get(partition) is not self]
            if foreign:
                raise TransientError(f"commit refused: {foreign} went to another member of the group")
            self._group.committed |= offsets

    def assigned(self) -> frozenset[Partition]:
        return frozenset(self._positions)

    def lag(self) -> Mapping[Partition, int]:
        with self._bus.changed:
            return {partition: self._bus.end_of(partition) - position for partition, position in self._positions.items()}

    def close(self) -> None:
        with self._bus.changed:
            self._group.leave(self)
            self._bus.changed.notify_all()
        self._positions.clear()
        self._order.clear()

    def _claim(self) -> None:
        for partition in self._group.claim(self):
            self._positions[partition] = self._group.committed.get(partition, 0)
            self._order.append(partition)

    def _release(self, leaving: frozenset[Partition]) -> None:
        for partition in leaving:
            del self._positions[partition]
        self._order = [partition for partition in self._order if partition in self._positions]
        self._paused -= leaving
        with self._bus.changed:
            self._group.release(self, leaving)
            self._bus.changed.notify_all()


class _Group:
    """Who is a member, who should own each partition and who does. A partition changes hands once its owner has released it."""

    def __init__(self, max_poll_interval_s: float) -> None:
        self._max_poll_interval_s = max_poll_interval_s
        self._last_poll: dict[_GroupConsumer, float] = {}
        self.target: dict[Partition, _GroupConsumer] = {}
        self.owner: dict[Partition, _GroupConsumer] = {}
        self.committed: dict[Partition, int] = {}

    def touch(self, member: _GroupConsumer, now: float) -> bool:
        """Notes that the member polls and expels those that did not; whether this one still is a member."""
        if member in self._last_poll:
            self._last_poll[member] = now
        for other, last in list(self._last_poll.items()):
            if now - last > self._max_poll_interval_s:
                self.leave(other)
        return member in self._last_poll

    def join(self, member: _GroupConsumer, now: float) -> bool:
        """Whether the member is new."""
        if member in self._last_poll:
            return False
        self._last_poll[member] = now
        self._balance()
        return True

    def leave(self, member: _GroupConsumer) -> None:
        self._last_poll.pop(member, None)
        self.owner = {partition: owner for partition, owner in self.owner.items() if owner is not member}
        self._balance()

    def claim(self, member: _GroupConsumer) -> list[Partition]:
        free = [partition for partition, target in self.target.items() if target is member and partition not in self.owner]
        self.owner |= dict.fromkeys(free, member)
        return free

    def release(self, member: _GroupConsumer, partitions: frozenset[Partition]) -> None:
        self.owner = {p: owner for p, owner in self.owner.items() if owner is not member or p not in partitions}

    def until_next_expiry(self, now: float) -> float:
        return max(0.0, min(self._last_poll.values()) + self._max_poll_interval_s - now) + 0.001

    def _balance(self) -> None:
        """Every partition to the interested member that has fewest, moving no more partitions than needed."""
        target: dict[Partition, _GroupConsumer] = {}
        load = dict.fromkeys(self._last_poll, 0)
        partitions = sorted({partition for member in self._last_poll for partition in member.partitions})
        if load:
            share, extra = divmod(len(partitions), len(load))
            for partition, owner in self.owner.items():
                if owner in load and partition in owner.partitions and load[owner] < share + (extra > 0):
                    target[partition] = owner
                    load[owner] += 1
                    extra -= load[owner] > share
        for partition in partitions:
            if partition not in target:
                least = min((m for m in load if partition in m.partitions), key=load.__getitem__)
                target[partition] = least
                load[least] += 1
        self.target = target
