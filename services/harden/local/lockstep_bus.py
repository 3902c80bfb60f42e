"""The bus of a trainer whose services run in lockstep: the trainer's own messages are what sets them going.

    bouts       go through all services as one unit, while the trainer goes on
    a policy    is sent when nothing is under way, and is served, or refused, when `send` returns
    verdicts    are waited for as long as any can come: the clock never decides that a bout is lost

So which policy answers a bout follows from the order in which the trainer sent them.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harden import codec
from harden.bus.memory import MemoryBus
from harden.bus.ports import ExclusiveProducer, GroupConsumer, Incoming, LogReader, Outgoing, Partition, Producer
from harden.domain.errors import PoisonError, SetupError
from harden.domain.policy import PolicyPublished, PolicyRef, PolicyRefused, PolicyServed
from harden.runtime.lockstep import Lockstep
from harden.topics import BOUTS, POLICIES, SERVED
from harden.trainer.inbox import Stopped

POLL_S = 0.05
MAX_RECORDS = 1000


class Settling:
    """Waits until a slot has decided about a policy. Hears what is said from its construction on.

    `check` is called while it waits, and raises where waiting is in vain.
    """

    def __init__(self, bus: MemoryBus, slots: Sequence[str], timeout_s: float) -> None:
        self._bus = bus
        self._slots = slots
        self._timeout_s = timeout_s
        start = {partition: len(bus.logs[partition]) for partition in bus.partitions_of([SERVED.name])}
        self._reader = bus.log_reader([SERVED.name], client_id="lockstep", start=start)
        self._settled: set[PolicyRef] = set()

    def wait(self, policy: PolicyRef, check: Callable[[], None]) -> None:
        """Raises SetupError when the time is up."""
        deadline = time.monotonic() + self._timeout_s
        while policy.slot in self._slots and policy not in self._settled:
            check()
            if time.monotonic() > deadline:
                raise SetupError(
                    f"version {policy.version} of slot {policy.slot} is neither served nor refused after "
                    f"{self._timeout_s:.0f} s; logs/in-process.log of the run says why (policy_waits)"
                )
            for message in self._reader.poll(POLL_S, MAX_RECORDS):
                fact = codec.from_message(SERVED, message).fact
                assert isinstance(fact, PolicyServed | PolicyRefused)  # the catalogue allows no other on this topic
                self._settled.add(fact.policy)

    def wait_for_newest(self, check: Callable[[], None]) -> None:
        """Waits for the newest publication of each slot on the log."""
        newest: dict[str, PolicyRef] = {}
        for partition in self._bus.partitions_of([POLICIES.name]):
            newest |= {policy.slot: policy for policy in _published(self._bus.logs[partition])}
        for policy in newest.values():
            self.wait(policy, check)


@dataclass(frozen=True)
class LockstepBus:
    """Implements Bus. `inner` is the bus that the services and the policies know; `check` raises where the run is to end."""

    inner: MemoryBus
    services: Lockstep
    settling: Settling
    check: Callable[[], None]

    def producer(self, *, client_id: str) -> Producer:
        return self.inner.producer(client_id=client_id)

    def exclusive_producer(self, *, client_id: str, exclusive_name: str) -> ExclusiveProducer:
        producer = self.inner.exclusive_producer(client_id=client_id, exclusive_name=exclusive_name)
        return _Producer(self, producer)

    def group_consumer(
        self,
        topics: Sequence[str],
        *,
        group: str,
        client_id: str,
        on_revoked: Callable[[frozenset[Partition]], None],
    ) -> GroupConsumer:
        return self.inner.group_consumer(topics, group=group, client_id=client_id, on_revoked=on_revoked)

    def log_reader(self, topics: Sequence[str], *, client_id: str, start: Mapping[Partition, int] | None = None) -> LogReader:
        return _Reader(self.services, self.inner.log_reader(topics, client_id=client_id, start=start))

    def create_topics(self) -> list[str]:
        return self.inner.create_topics()

    def check_topics(self) -> None:
        self.inner.check_topics()

    def close(self) -> None:
        self.inner.close()

    def rest(self) -> None:
        """Waits until nothing is under way. Raises Stopped where that will not be."""
        if not self.services.rest():
            raise Stopped


class _Producer:
    def __init__(self, bus: LockstepBus, inner: ExclusiveProducer) -> None:
        self._bus = bus
        self._inner = inner

    def send(self, messages: Sequence[Outgoing]) -> None:
        topics = {message.topic for message in messages}
        if POLICIES.name in topics:
            self._bus.rest()
        written = self._write(messages, sorted(topics & {BOUTS.name, POLICIES.name}))
        if bouts := [message for message in written if message.topic == BOUTS.name]:
            self._bus.services.put(bouts)
        for policy in _published(written):
            self._bus.settling.wait(policy, self._bus.check)

    def close(self) -> None:
        self._inner.close()

    def _write(self, messages: Sequence[Outgoing], topics: Sequence[str]) -> list[Incoming]:
        """Those of the messages on `topics`, as they stand on the bus: by partition and offset."""
        bus = self._bus.inner
        with bus.changed:  # nobody else writes meanwhile
            ends = {partition: len(bus.logs[partition]) for partition in bus.partitions_of(topics)}
            self._inner.send(messages)
            return [message for partition in sorted(ends) for message in bus.logs[partition][ends[partition] :]]


class _Reader:
    def __init__(self, services: Lockstep, inner: LogReader) -> None:
        self._services = services
        self._inner = inner

    def poll(self, timeout_s: float, max_records: int) -> list[Incoming]:
        """Without a result of any service only where none can come. Leases alone are no result."""
        found: list[Incoming] = []
        while True:
            # Before the poll: what the last one of them writes is seen by it.
            is_at_rest = self._services.is_at_rest
            found += self._inner.poll(timeout_s, max_records - len(found))
            if is_at_rest or len(found) == max_records or any(message.topic != SERVED.name for message in found):
                return found

    def position(self) -> Mapping[Partition, int]:
        return self._inner.position()

    def caught_up(self) -> bool:
        return self._inner.caught_up()

    def close(self) -> None:
        self._inner.close()


def _published(messages: Sequence[Incoming]) -> list[PolicyRef]:
    found = []
    for message in messages:
        if message.topic != POLICIES.name:
            continue
        try:
            fact = codec.from_message(POLICIES, message).fact
        except PoisonError:
            continue  # of no policy that a slot could follow
        if isinstance(fact, PolicyPublished):
            found.append(fact.policy)
    return found
