"""Workers of one service under faults: schedules of the real worker, its pool, its deliveries and its offsets.

What has to be true (design, section 6), of every schedule:

    no commit passes a message without a child or a dead letter on the log
    every message gets one or the other; a good one gets no dead letter, a bad one no child
    all children of one message are the same event
    once faults stop, everything is handled and committed
    a worker ends by itself only where retries ran out
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from hashlib import sha256

from harden import codec, topics
from harden.bus.ports import Headers, Incoming, Outgoing, Partition
from harden.config import WorkerSettings
from harden.domain import ids
from harden.domain.attack import AttackedBout
from harden.domain.bout import Bout
from harden.domain.errors import PoisonError, TransientError
from harden.domain.events import DeadLetter, Event
from harden.runtime.worker import Worker
from tests.simulation import faults
from tests.simulation.bus import SimulatedBus
from tests.simulation.faults import Fault, Kind, Played
from tests.simulation.processes import Machine, Place
from tests.simulation.scheduler import Process, StuckError
from tests.support.facts import a_bout, an_attacked_bout, an_event
from tests.support.workers import Lane, an_attacker

NUM_WORKERS = 3
FAULTS_END_S = 10.0
# With 40 s of a stopped process, 10 s until its group notices and retries of at most 60 s.
QUIET_S = 300.0
KINDS = tuple(kind for kind in Kind if kind is not Kind.COMPACT)
SETTINGS = WorkerSettings(max_poison_in_a_row=1000, drain_timeout_s=5.0)
# Small, so that an answer that is too large is quickly made.
MAX_BYTES = 16 * 1024
LANE = Lane(
    replace(topics.BOUTS, num_partitions=4),
    replace(topics.ATTACKS, num_partitions=4, max_message_bytes=MAX_BYTES),
)
BOUTS, LETTERS, ATTACKS = LANE.reads.name, LANE.reads.dead, LANE.writes.name
# What a bout asks of the service. The two large ones are what the codec does not write, and what the broker does not take.
GOOD, SLOW, POISON, TOO_LARGE, OVERSIZED = "good", "slow", "poison", "too large", "oversized"
NATURES = (GOOD, GOOD, GOOD, SLOW, POISON, TOO_LARGE, OVERSIZED)
MAX_BOUTS = 12
NATURE_OF = {ids.root(f"{nature} {n}"): nature for nature in set(NATURES) for n in range(MAX_BOUTS)}


def draw(seed: int) -> list[Fault]:
    return faults.draw(random.Random(f"faults {seed}"), KINDS, FAULTS_END_S)


def play(seed: int, what_goes_wrong: Sequence[Fault]) -> Played:
    schedule = _Schedule(seed, what_goes_wrong)
    return Played(schedule.play(), schedule.digest())


class _Schedule:
    def __init__(self, seed: int, what_goes_wrong: Sequence[Fault]) -> None:
        random.seed(seed)  # for the waits between retries
        self._machine = machine = Machine(seed)
        self._bus = SimulatedBus(
            machine.broker, [LANE.reads, LANE.writes], network=machine.network, on_commit=self._check_commit
        )
        self._bus.create_topics()
        self._service = an_attacker(self._handle, lane=LANE)
        for n in range(NUM_WORKERS):
            machine.run(f"worker-{n}", self._work, may_end_with=(TransientError,))
        machine.schedule(what_goes_wrong, self._inflict)
        rng = machine.scheduler.rng
        for n in range(rng.randint(1, MAX_BOUTS)):
            message = a_bout_message(NATURES[rng.randrange(len(NATURES))], n)
            machine.scheduler.at(rng.uniform(0, FAULTS_END_S), partial(self._bus.append, [message]))

    def play(self) -> list[str]:
        machine, scheduler = self._machine, self._machine.scheduler
        try:
            scheduler.run_until(lambda: scheduler.now > FAULTS_END_S, FAULTS_END_S + 1)
            machine.calm()
            if not scheduler.run_until(lambda: not self._waiting(), scheduler.now + QUIET_S):
                waiting = ", ".join(map(place_of, self._waiting()))
                machine.broken.append(f"no progress: {QUIET_S:.0f} s after the last fault these wait: {waiting}")
            self._check_log()
        except StuckError as error:
            machine.broken.append(str(error))
        finally:
            scheduler.close()
        return machine.broken

    def digest(self) -> str:
        """Of everything that is on the bus, and when it came there."""
        partitions = self._bus.partitions_of([BOUTS, LETTERS, ATTACKS])
        return sha256(repr([self._bus.readable(partition) for partition in partitions]).encode()).hexdigest()

    def _work(self, process: Process, place: Place) -> None:
        Worker(self._service, self._bus, SETTINGS, threads=process).run(place)

    def _handle(self, bout: Bout) -> AttackedBout:
        nature = NATURE_OF[bout.bout_id]
        self._machine.use_a_dependency(self._machine.scheduler.rng.choice((0.0, 0.001, 0.02)) + 3.0 * (nature == SLOW))
        if nature == POISON:
            raise PoisonError("unknown_seed", "nobody knows it")
        return an_attacked_bout(bout) if nature in (GOOD, SLOW) else a_large_one(bout, nature)

    def _inflict(self, fault: Fault) -> None:
        if self._machine.inflict(fault):
            return
        partitions = self._bus.partitions_of([BOUTS])
        partition = partitions[fault.which % len(partitions)]
        match fault.kind:
            case Kind.FOREIGN:
                self._bus.place(a_foreign_message(fault.which), partition)
            case Kind.AGAIN if written := self._bus.readable(partition):
                self._bus.place_again(written[fault.which % len(written)], partition)
            case Kind.EXPIRE:
                self._bus.expire(partition, self._bus.end_of(partition) - fault.which % 3)

    def _waiting(self) -> list[Incoming]:
        """Messages that are still there and that the group has not committed."""
        committed = self._bus.committed(LANE.group)
        return [
            message
            for partition in self._bus.partitions_of([BOUTS])
            for message in self._bus.readable(partition)
            if message.offset >= max(committed.get(partition, 0), self._bus.begins[partition])
        ]

    def _check_commit(self, group: str, offsets: Mapping[Partition, int]) -> None:
        answered = {message.key for p in self._bus.partitions_of([ATTACKS]) for message in self._bus.readable(p)}
        buried = set(self._letters())
        for partition, offset in offsets.items():
            begin = self._bus.begins[partition]
            passed = [message for message in self._bus.readable(partition) if begin <= message.offset < offset]
            for message in passed:
                if message.key not in answered and (message.partition, message.offset) not in buried:
                    self._machine.broken.append(
                        f"commit of {offset} passes {place_of(message)}, which has neither child nor dead letter"
                    )

    def _letters(self) -> dict[tuple[int, int], list[DeadLetter]]:
        letters: dict[tuple[int, int], list[DeadLetter]] = {}
        for partition in self._bus.partitions_of([LETTERS]):
            for message in self._bus.readable(partition):
                letter = read(LETTERS, message.value, message.key, message.headers).fact
                assert isinstance(letter, DeadLetter)
                letters.setdefault((letter.partition, letter.offset), []).append(letter)
        return letters

    def _check_log(self) -> None:
        children: dict[str, set[str]] = {}
        for partition in self._bus.partitions_of([ATTACKS]):
            for message in self._bus.readable(partition):
                meta = read(ATTACKS, message.value, message.key, message.headers).meta
                children.setdefault(meta.parent_ids[0], set()).add(meta.event_id)
        letters = self._letters()
        for partition in self._bus.partitions_of([BOUTS]):
            for message in self._bus.readable(partition):
                parent, buried = event_id_of(message), letters.get((message.partition, message.offset), [])
                found = children.get(parent, set()) if parent else set()
                expected_bad = parent is None or NATURE_OF[(message.key or b"").decode()] not in (GOOD, SLOW)
                if found - {ids.child(parent or "", self._service.name, 0)}:
                    self._machine.broken.append(f"{place_of(message)} has different children: {sorted(found)}")
                if expected_bad and found:
                    self._machine.broken.append(f"{place_of(message)} cannot be used and has a child")
                if not expected_bad and buried:
                    self._machine.broken.append(f"{place_of(message)} is good and was buried: {buried[0].reason}")
                if not found and not buried and message.offset >= self._bus.begins[partition]:
                    self._machine.broken.append(f"nothing came of {place_of(message)}")


def place_of(message: Incoming) -> str:
    return f"{message.topic}[{message.partition}]@{message.offset}"


@cache
def a_bout_message(nature: str, number: int) -> Outgoing:
    name = f"{nature} {number}"
    return codec.to_message(LANE.reads, an_event(a_bout(name), f"event {name}"))


def a_large_one(bout: Bout, nature: str) -> AttackedBout:
    """So large that the topic has no room for it, or none for what a broker adds to it."""
    attacked = an_attacked_bout(bout)
    room = MAX_BYTES - num_bytes(attacked) - 64
    text = "x" * (room + 1024 * (nature == TOO_LARGE))
    first, *rest = attacked.attacks
    return replace(attacked, attacks=(replace(first, text=first.text + text), *rest))


def num_bytes(attacked: AttackedBout) -> int:
    return len(codec.to_message(LANE.writes, an_event(attacked)).value)


FOREIGN: Sequence[tuple[bytes | None, bytes, Headers]] = (
    (None, b"", ()),
    (b"key", b"", ()),
    (None, b"\xff\x00 no event", ()),
    (b"key", b"{}", (("event", b"\xff"),)),
)


def a_foreign_message(which: int) -> Outgoing:
    key, value, headers = FOREIGN[which % len(FOREIGN)]
    return Outgoing(BOUTS, key, value, headers)  # type: ignore[arg-type]  # ours always have a key


@cache
def read(topic: str, value: bytes, key: bytes | None, headers: Headers) -> Event:
    topic_of = {name: t for t in (LANE.reads, LANE.writes) for name in (t.name, t.dead)}
    return codec.from_message(topic_of[topic], Incoming(topic, 0, 0, key, value, headers, 0))


def event_id_of(message: Incoming) -> str | None:
    try:
        return read(message.topic, message.value, message.key, message.headers).meta.event_id
    except PoisonError:
        return None
