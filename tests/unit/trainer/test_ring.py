"""The trainer's end of the log: what it reads, and from where it would read again."""

from dataclasses import replace

import pytest

from harden import codec
from harden.bus.ports import Outgoing, Partition
from harden.domain.bout import Bout
from harden.domain.errors import FencedError
from harden.domain.events import DeadLetter
from harden.domain.policy import PolicyRefused
from harden.domain.verdict import JudgedBout
from harden.topics import ATTACKS, BOUTS, RESPONSES, ROUNDS, SEEDS, SERVED, STEPS, VERDICTS, Topic
from harden.trainer.game.records import Record
from harden.trainer.ring import Arrival, DeadBout, Ring
from tests.support import facts
from tests.support.answering import AnsweringBus, a_lease, dead, played
from tests.support.builders import NOON, a_bout, a_policy


@pytest.fixture
def bus() -> AnsweringBus:
    """Nobody answers."""
    made = AnsweringBus()
    made.answers = lambda bout: []
    return made


def a_ring(bus: AnsweringBus, *, run_id: str = "run", start: dict[Partition, int] | None = None) -> Ring:
    return Ring(bus, run_id=run_id, start=start, now=lambda: NOON)


def bouts(count: int) -> list[Bout]:
    return [a_bout(f"bout {i}") for i in range(count)]


def everything(ring: Ring) -> list[Arrival]:
    """A poll that finds only what it buries is empty, and the grave comes with the next one."""
    return [arrival for _ in range(3) for arrival in ring.poll(0.0)]


def broken(topic: Topic) -> Outgoing:
    return Outgoing(topic.name, b"key", b"\xff\xff\xff", (("event", topic.events[0].encode()),))


def test_offsets_wait_for_every_verdict_that_is_not_used(bus: AnsweringBus) -> None:
    bus.put(*(played(bout) for bout in bouts(40)))
    ring = a_ring(bus)
    arrivals = everything(ring)
    assert len(arrivals) == 40
    unused = list(arrivals)
    for arrival in arrivals[::3]:
        ring.used(arrival)
        unused.remove(arrival)
        ends = {partition: len(bus.logs[partition]) for partition in ring.offsets()}
        first = {p: min([end, *(one.offset for one in unused if one.partition == p)]) for p, end in ends.items()}
        assert ring.offsets() == first


def test_a_ring_that_begins_at_the_offsets_reads_what_was_not_used_and_what_came_later(bus: AnsweringBus) -> None:
    bus.put(*(played(bout) for bout in bouts(20)))
    ring = a_ring(bus)
    arrivals = everything(ring)
    for arrival in arrivals[:15]:
        ring.used(arrival)
    later = played(a_bout("later"))
    bus.put(later)
    again = [arrival.what for arrival in everything(a_ring(bus, start=ring.offsets()))]
    assert later in again
    assert all(arrival.what in again for arrival in arrivals[15:])
    assert len(again) < len(arrivals) + 1


def test_a_verdict_used_twice_is_used(bus: AnsweringBus) -> None:
    bus.put(played(a_bout()))
    ring = a_ring(bus)
    [arrival] = everything(ring)
    ring.used(arrival)
    ring.used(arrival)
    assert ring.offsets()[arrival.partition] == arrival.offset + 1


def test_what_is_no_verdict_holds_no_offset_back(bus: AnsweringBus) -> None:
    refused = PolicyRefused(a_policy(), "triton-0", "truncated", "short", None, NOON)
    bus.put(a_lease(a_policy()), refused, dead(a_bout()))
    ring = a_ring(bus)
    assert {type(arrival.what) for arrival in everything(ring)} == {type(a_lease(a_policy())), PolicyRefused, DeadBout}
    assert ring.offsets() == {partition: len(bus.logs[partition]) for partition in ring.offsets()}


@pytest.mark.parametrize("topic", [BOUTS, ATTACKS, RESPONSES, VERDICTS])
def test_a_bout_may_die_on_every_topic_of_its_way(bus: AnsweringBus, topic: Topic) -> None:
    bout = a_bout()
    bus.put(dead(bout, topic, "malformed"), replace(dead(bout, topic), key=None, offset=77))
    what = [arrival.what for arrival in everything(a_ring(bus))]
    assert sorted(what, key=str) == sorted([DeadBout(bout.bout_id, "malformed"), DeadBout("", "unknown_seed")], key=str)


def test_a_dead_letter_of_another_topic_is_none_of_a_bout(bus: AnsweringBus) -> None:
    bus.put(dead(a_bout(), SEEDS))
    assert everything(a_ring(bus)) == []


@pytest.mark.parametrize("topic", [VERDICTS, SERVED])
def test_a_message_that_cannot_be_read_is_buried_as_it_came_and_hides_no_other(bus: AnsweringBus, topic: Topic) -> None:
    good = played(a_bout())
    bus.append([broken(topic)])
    bus.put(good)
    ring = a_ring(bus)
    assert [arrival.what for arrival in everything(ring) if isinstance(arrival.what, JudgedBout)] == [good]
    [grave] = bus.facts(topic, are_dead=True)
    assert isinstance(grave, DeadLetter)
    assert (grave.reason, grave.key, grave.value) == ("malformed", b"key", broken(topic).value)
    assert (grave.topic, grave.headers, grave.service) == (topic.name, broken(topic).headers, "trainer")
    # A restart reads it no second time.
    position = Partition(topic.name, grave.partition)
    assert ring.offsets()[position] > grave.offset


def test_its_own_grave_of_a_verdict_is_a_dead_bout_to_it(bus: AnsweringBus) -> None:
    """The key is the bout's, so what was asked for is not waited for until it expires."""
    bus.append([broken(VERDICTS)])
    assert [arrival.what for arrival in everything(a_ring(bus))] == [DeadBout("key", "malformed")]


def test_an_unreadable_dead_letter_stays_where_it_is(bus: AnsweringBus) -> None:
    bus.append([Outgoing(BOUTS.dead, b"key", b"\xff", ()), Outgoing(BOUTS.dead, b"key", b"\xff", (("event", b"nobody"),))])
    assert everything(a_ring(bus)) == []
    assert [len(bus.logs[Partition(topic.dead, 0)]) for topic in (BOUTS, VERDICTS)] == [2, 0]


def test_a_bout_is_scheduled_under_its_id_with_the_policies_it_was_planned_for(bus: AnsweringBus) -> None:
    sent = bouts(3)
    a_ring(bus).schedule(sent)
    messages = [message for p in bus.partitions_of([BOUTS.name]) for message in bus.logs[p]]
    assert {message.key for message in messages} == {bout.bout_id.encode() for bout in sent}
    events = [codec.from_message(BOUTS, message) for message in messages]
    assert sorted((event.fact for event in events), key=str) == sorted(sent, key=str)
    assert {event.meta.policy_digests for event in events} == {(sent[0].attacker.digest, sent[0].defender.digest)}


def test_a_bout_scheduled_twice_is_the_same_event(bus: AnsweringBus) -> None:
    ring = a_ring(bus)
    ring.schedule(bouts(1))
    ring.schedule(bouts(1))
    [one, other] = [codec.from_message(BOUTS, m) for p in bus.partitions_of([BOUTS.name]) for m in bus.logs[p]]
    assert one.meta.event_id == other.meta.event_id


def test_records_go_to_the_topic_of_their_kind(bus: AnsweringBus) -> None:
    ring = a_ring(bus)
    step = facts.a_step()
    rounds: list[Record] = [facts.a_round(), facts.a_side_run(), facts.a_cross_play()]
    for record in (step, *rounds):
        ring.publish(record)
    assert bus.facts(STEPS) == [step]
    assert bus.facts(ROUNDS) == rounds
    [told, *_] = [codec.from_message(ROUNDS, m) for p in bus.partitions_of([ROUNDS.name]) for m in bus.logs[p]]
    assert set(told.meta.policy_digests) == set(facts.a_round().policies.values())


def test_another_trainer_of_the_run_fences_and_one_of_another_run_does_not(bus: AnsweringBus) -> None:
    first, stranger = a_ring(bus), a_ring(bus, run_id="another")
    first.schedule(bouts(1))
    second = a_ring(bus)
    for attempt in (lambda: first.schedule(bouts(1)), lambda: first.publish(facts.a_round())):
        with pytest.raises(FencedError):
            attempt()
    second.schedule(bouts(1))
    stranger.schedule(bouts(1))
    assert len(bus.facts(BOUTS)) == 3


def test_a_fenced_trainer_buries_nothing(bus: AnsweringBus) -> None:
    first = a_ring(bus)
    a_ring(bus)
    bus.append([broken(VERDICTS)])
    with pytest.raises(FencedError):
        first.poll(0.0)
    assert bus.facts(VERDICTS, are_dead=True) == []
