"""The trainer's connection to the log: it writes bouts and records, and reads verdicts, dead letters and replica statuses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harden import codec
from harden.bus.ports import Bus, Incoming, Outgoing, Partition
from harden.domain import ids
from harden.domain.bout import Bout
from harden.domain.errors import PoisonError
from harden.domain.events import DeadLetter, Event, EventMeta
from harden.domain.policy import PolicyRefused, PolicyServed
from harden.domain.round import RoundFinished
from harden.domain.verdict import JudgedBout
from harden.runtime.children import dead_letter_of
from harden.topics import ATTACKS, BOUTS, RESPONSES, ROUNDS, SERVED, STEPS, VERDICTS, Topic
from harden.trainer.game.records import Record

SERVICE = "trainer"
# Topics on which a bout can be dead-lettered.
_DEAD = {topic.dead: topic for topic in (BOUTS, ATTACKS, RESPONSES, VERDICTS)}
MAX_RECORDS = 500


@dataclass(frozen=True, slots=True)
class DeadBout:
    """A bout that some service could not use. `bout_id` is empty where the message had no readable key."""

    bout_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Arrival:
    partition: Partition
    offset: int
    what: JudgedBout | DeadBout | PolicyServed | PolicyRefused


class Ring:
    def __init__(self, bus: Bus, *, run_id: str, start: Mapping[Partition, int] | None, now: Callable[[], float]) -> None:
        """Fences every older trainer of the same run. `start` are the offsets of a checkpoint, None for a new run."""
        self._producer = bus.exclusive_producer(client_id=SERVICE, exclusive_name=f"{SERVICE}.{run_id}")
        self._reader = bus.log_reader([VERDICTS.name, SERVED.name, *_DEAD], client_id=SERVICE, start=start)
        self._now = now
        # Offsets of messages polled but not yet used: a checkpoint must not pass them.
        self._unused: dict[Partition, set[int]] = {}

    def schedule(self, bouts: Sequence[Bout]) -> None:
        """All of the bouts or none. Raises FencedError once another trainer has taken over the run."""
        self._producer.send([self._message(BOUTS, bout, bout.bout_id, _policies_of(bout)) for bout in bouts])

    def publish(self, record: Record) -> None:
        """Returns when the log has the record. Raises FencedError as `schedule` does, so that a run has one history."""
        digests = tuple(record.policies.values()) if isinstance(record, RoundFinished) else ()
        meta = EventMeta(record.record_id, self._now(), SERVICE, policy_digests=digests)
        topic = codec.topic_of(record, (STEPS, ROUNDS))
        self._producer.send([codec.to_message(topic, Event(meta, record))])

    def poll(self, timeout_s: float) -> list[Arrival]:
        """New arrivals. Verdicts stay unused until `used` is called for them; all others are used at once."""
        arrivals = []
        for message in self._reader.poll(timeout_s, MAX_RECORDS):
            partition = Partition(message.topic, message.partition)
            what = self._read(message)
            if what is None:
                continue
            if isinstance(what, JudgedBout):
                self._unused.setdefault(partition, set()).add(message.offset)
            arrivals.append(Arrival(partition, message.offset, what))
        return arrivals

    def used(self, arrival: Arrival) -> None:
        self._unused.get(arrival.partition, set()).discard(arrival.offset)

    def offsets(self) -> dict[Partition, int]:
        """Where a restarted trainer must begin to read: every verdict before these offsets was used."""
        return {
            partition: min([next_offset, *self._unused.get(partition, ())])
            for partition, next_offset in self._reader.position().items()
        }

    def close(self) -> None:
        self._reader.close()
        self._producer.close()

    def _read(self, message: Incoming) -> JudgedBout | DeadBout | PolicyServed | PolicyRefused | None:
        if message.topic in _DEAD:
            return self._read_dead(message)
        topic = VERDICTS if message.topic == VERDICTS.name else SERVED
        try:
            fact = codec.from_message(topic, message).fact
        except PoisonError as poison:
            self._dead_letter(topic, message, poison)
            return None
        assert isinstance(fact, JudgedBout | PolicyServed | PolicyRefused)  # the catalogue allows no other on these topics
        return fact

    def _read_dead(self, message: Incoming) -> DeadBout | None:
        try:
            dead = codec.from_message(_DEAD[message.topic], message).fact
        except PoisonError:
            # An unreadable dead letter stays where it is, for `harden dead-letters list`.
            return None
        assert isinstance(dead, DeadLetter)
        return DeadBout((dead.key or b"").decode(errors="replace"), dead.reason)

    def _dead_letter(self, topic: Topic, message: Incoming, poison: PoisonError) -> None:
        dead = dead_letter_of(message, poison, service=SERVICE, now=self._now())
        self._producer.send([codec.dead_letter_message(topic, dead)])

    def _message(self, topic: Topic, fact: Bout, about: str, digests: tuple[str, ...]) -> Outgoing:
        meta = EventMeta(ids.root(topic.name, about), self._now(), SERVICE, policy_digests=digests)
        return codec.to_message(topic, Event(meta, fact))


def _policies_of(bout: Bout) -> tuple[str, ...]:
    return (bout.attacker.digest, bout.defender.digest)
