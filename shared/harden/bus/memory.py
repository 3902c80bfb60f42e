"""A broker in this process: for the ring in one process and for tests. Keeps what Kafka keeps, as long as it lives.

One lock guards everything; a poll that finds nothing sleeps on its condition until something is sent, a group
changes or its time is over. Nothing is compacted and nothing expires: a process that would need that needs Kafka.
"""

import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from harden.bus.layout import Layout, layouts, size_of
from harden.bus.ports import GroupConsumer, Incoming, LogReader, Outgoing, Place, Producer
from harden.domain.errors import FencedError, PoisonError, SetupError, TransientError
from harden.topics import CATALOGUE, Topic

# Kafka's own default for max.poll.interval.ms.
MAX_POLL_INTERVAL_S = 300.0


class MemoryBus:
    """The bus port over lists. `monotonic` and `wall_clock` are arguments so that tests may own the time."""

    def __init__(
        self,
        catalogue: Iterable[Topic] = CATALOGUE,
        *,
        max_poll_interval_s: float = MAX_POLL_INTERVAL_S,
        monotonic: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._layouts = {layout.name: layout for layout in layouts(catalogue)}
        self.max_poll_interval_s = max_poll_interval_s
        self.monotonic = monotonic
        self._wall_clock = wall_clock
        self.changed = threading.Condition()
        self.logs: dict[Place, list[Incoming]] = {}
        self._topics: dict[str, Layout] = {}
        self._groups: dict[str, _Group] = {}
        self._epochs: dict[str, int] = {}

    def producer(self, *, client_id: str) -> Producer:
        return _Producer(self, is_current=lambda: True, name=client_id)

    def exclusive_producer(self, *, client_id: str, exclusive_name: str) -> Producer:
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
        on_revoked: Callable[[frozenset[Place]], None],
    ) -> GroupConsumer:
        with self.changed:
            places = self.places_of(topics)
            shared = self._groups.setdefault(group, _Group(self.max_poll_interval_s))
        return _GroupConsumer(self, shared, places, on_revoked)

    def log_reader(self, topics: Sequence[str], *, client_id: str, start: Mapping[Place, int] | None = None) -> LogReader:
        with self.changed:
            positions = dict.fromkeys(self.places_of(topics), 0)
        return _LogReader(self, positions | dict(start or {}))

    def create_topics(self) -> list[str]:
        with self.changed:
            created = [name for name in self._layouts if name not in self._topics]
            for name in created:
                self._topics[name] = self._layouts[name]
                self.logs |= {Place(name, n): [] for n in range(self._layouts[name].num_partitions)}
        return created

    def check_topics(self) -> None:
        with self.changed:
            missing = [name for name in self._layouts if name not in self._topics]
        if missing:
            raise SetupError(f"topics missing: {', '.join(missing)}; create them with `harden topics create`")

    def close(self) -> None:
        """Nothing to give back: the log lives as long as somebody holds the bus."""

    def append(self, messages: Sequence[Outgoing]) -> None:
        """All of them or, where one cannot be taken, none."""
        with self.changed:
            for message in messages:
                layout = self._layout(message.topic)
                if size_of(message) > layout.max_message_bytes:
                    raise PoisonError(
                        "oversized", f"{size_of(message)} bytes for {layout.name}, whose limit is {layout.max_message_bytes}"
                    )
            now_ms = int(self._wall_clock() * 1000)
            for message in messages:
                partition = zlib.crc32(message.key) % self._topics[message.topic].num_partitions
                log = self.logs[Place(message.topic, partition)]
                log.append(
                    Incoming(message.topic, partition, len(log), message.key, message.value, tuple(message.headers), now_ms)
                )
            self.changed.notify_all()

    def places_of(self, topics: Sequence[str]) -> list[Place]:
        return [Place(name, n) for name in topics for n in range(self._layout(name).num_partitions)]

    def take(self, positions: dict[Place, int], order: list[Place], max_records: int) -> list[Incoming]:
        """The next records of `order`'s places; moves `positions`, and rotates `order` so that no place starves."""
        taken: list[Incoming] = []
        for place in list(order):
            begin = positions[place]
            found = self.logs[place][begin : begin + max_records - len(taken)]
            if found:
                positions[place] = begin + len(found)
                taken += found
                order.remove(place)
                order.append(place)
            if len(taken) == max_records:
                break
        return taken

    def _layout(self, name: str) -> Layout:
        if name not in self._topics:
            raise SetupError(f"topic {name} does not exist; create the topics with `harden topics create`")
        return self._topics[name]


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

    def close(self) -> None: ...


class _LogReader:
    def __init__(self, bus: MemoryBus, positions: dict[Place, int]) -> None:
        self._bus = bus
        self._positions = positions
        self._order = sorted(positions)

    def poll(self, timeout_s: float, max_records: int) -> list[Incoming]:
        bus = self._bus
        deadline = bus.monotonic() + timeout_s
        with bus.changed:
            while True:
                taken = bus.take(self._positions, self._order, max_records)
                remaining = deadline - bus.monotonic()
                if taken or remaining <= 0:
                    return taken
                bus.changed.wait(remaining)

    def position(self) -> Mapping[Place, int]:
        return dict(self._positions)

    def caught_up(self) -> bool:
        with self._bus.changed:
            return all(position >= len(self._bus.logs[place]) for place, position in self._positions.items())

    def close(self) -> None: ...


class _GroupConsumer:
    """Positions and pauses are this member's own; who owns a place is the group's business."""

    def __init__(
        self, bus: MemoryBus, group: "_Group", places: list[Place], on_revoked: Callable[[frozenset[Place]], None]
    ) -> None:
        self._bus = bus
        self._group = group
        self._on_revoked = on_revoked
        self.places = places
        self._positions: dict[Place, int] = {}
        self._order: list[Place] = []
        self._paused: set[Place] = set()

    def poll(self, timeout_s: float, max_records: int) -> list[Incoming]:
        bus, group = self._bus, self._group
        deadline = bus.monotonic() + timeout_s
        while True:
            with bus.changed:
                is_member = group.touch(self, bus.monotonic())
                leaving = frozenset(p for p in self._positions if not is_member or group.target.get(p) is not self)
                if not leaving:
                    if group.join(self, bus.monotonic()):
                        bus.changed.notify_all()
                    self._claim()
                    open_places = [place for place in self._order if place not in self._paused]
                    taken = bus.take(self._positions, open_places, max_records)
                    self._order = [p for p in self._order if p in self._paused] + open_places
                    remaining = deadline - bus.monotonic()
                    if taken or remaining <= 0:
                        return taken
                    bus.changed.wait(min(remaining, group.until_next_expiry(bus.monotonic())))
                    continue
            # Outside the lock: the listener commits, and may wait for threads that send.
            self._on_revoked(leaving)
            self._release(leaving)

    def pause(self, places: Sequence[Place]) -> None:
        self._paused |= set(places)

    def resume(self, places: Sequence[Place]) -> None:
        self._paused -= set(places)

    def commit(self, offsets: Mapping[Place, int]) -> None:
        with self._bus.changed:
            foreign = [place for place in offsets if self._group.owner.get(place) is not self]
            if foreign:
                raise TransientError(f"commit refused: {foreign} went to another member of the group")
            self._group.committed |= offsets

    def assigned(self) -> frozenset[Place]:
        return frozenset(self._positions)

    def lag(self) -> Mapping[Place, int]:
        with self._bus.changed:
            return {place: len(self._bus.logs[place]) - position for place, position in self._positions.items()}

    def close(self) -> None:
        with self._bus.changed:
            self._group.leave(self)
            self._bus.changed.notify_all()
        self._positions.clear()
        self._order.clear()

    def _claim(self) -> None:
        for place in self._group.claim(self):
            self._positions[place] = self._group.committed.get(place, 0)
            self._order.append(place)

    def _release(self, leaving: frozenset[Place]) -> None:
        for place in leaving:
            del self._positions[place]
        self._order = [place for place in self._order if place in self._positions]
        self._paused -= leaving
        with self._bus.changed:
            self._group.release(self, leaving)
            self._bus.changed.notify_all()


class _Group:
    """Who is a member, who should own each place and who does. A place changes hands only when its owner let go of it."""

    def __init__(self, max_poll_interval_s: float) -> None:
        self._max_poll_interval_s = max_poll_interval_s
        self._last_poll: dict[_GroupConsumer, float] = {}
        self.target: dict[Place, _GroupConsumer] = {}
        self.owner: dict[Place, _GroupConsumer] = {}
        self.committed: dict[Place, int] = {}

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
        self.owner = {place: owner for place, owner in self.owner.items() if owner is not member}
        self._balance()

    def claim(self, member: _GroupConsumer) -> list[Place]:
        free = [place for place, target in self.target.items() if target is member and place not in self.owner]
        self.owner |= dict.fromkeys(free, member)
        return free

    def release(self, member: _GroupConsumer, places: frozenset[Place]) -> None:
        self.owner = {place: owner for place, owner in self.owner.items() if owner is not member or place not in places}

    def until_next_expiry(self, now: float) -> float:
        return max(0.0, min(self._last_poll.values()) + self._max_poll_interval_s - now) + 0.001

    def _balance(self) -> None:
        """Every place to the interested member that has fewest, moving no more places than needed."""
        target: dict[Place, _GroupConsumer] = {}
        load = dict.fromkeys(self._last_poll, 0)
        places = sorted({place for member in self._last_poll for place in member.places})
        if load:
            share, extra = divmod(len(places), len(load))
            for place, owner in self.owner.items():
                if owner in load and place in owner.places and load[owner] < share + (extra > 0):
                    target[place] = owner
                    load[owner] += 1
                    extra -= load[owner] > share
        for place in places:
            if place not in target:
                least = min((m for m in load if place in m.places), key=load.__getitem__)
                target[place] = least
                load[least] += 1
        self.target = target
