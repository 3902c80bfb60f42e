"""What every bus keeps: the in-memory one and Apache Kafka alike."""

import threading
import time
import uuid
from collections.abc import Callable

import pytest

from harden.bus.ports import GroupConsumer, Outgoing, Partition
from harden.domain.errors import FencedError, PoisonError, SetupError, TransientError
from tests.contract.bus.conftest import (
    MAX_MESSAGE_BYTES,
    MAX_POLL_INTERVAL_S,
    NUM_PARTITIONS,
    Harness,
    Polling,
    after,
    take,
    values,
)
from tests.support.workers import wait_until


def test_what_is_sent_arrives_as_it_was(harness: Harness) -> None:
    message = Outgoing(harness.work.name, b"key \x00\xff", b"value \x00\xff", (("a", b"1"), ("a", b"\xff"), ("b", b"")))
    harness.bus.producer(client_id="test").send([message])
    (found,) = take(harness.reader(), 1)
    assert (found.topic, found.key, found.value, found.headers) == (message.topic, message.key, message.value, message.headers)
    assert abs(found.timestamp_ms / 1000 - time.time()) < 60


def test_messages_of_one_key_keep_their_order_and_their_partition(harness: Harness) -> None:
    producer = harness.bus.producer(client_id="test")
    for n in range(30):
        producer.send([harness.message(f"{key} {n}", key=key) for key in ("a", "b", "c")])
    found = take(harness.member("g"), 90)
    for key in ("a", "b", "c"):
        of_key = [message for message in found if message.key == key.encode()]
        assert values(of_key) == [f"{key} {n}" for n in range(30)]
        assert len({message.partition for message in of_key}) == 1


def test_many_threads_send_with_one_producer(harness: Harness) -> None:
    producer = harness.bus.producer(client_id="test")

    def send(thread: int) -> None:
        for n in range(20):
            producer.send([harness.message(f"{thread} {n}", key=str(thread))])

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = take(harness.reader(), 160)
    for n in range(8):
        assert values([m for m in found if m.key == str(n).encode()]) == [f"{n} {i}" for i in range(20)]


def test_what_is_sent_without_waiting_is_on_the_log_when_its_end_is_told(harness: Harness) -> None:
    producer = harness.bus.producer(client_id="test")
    lock, ends = threading.Lock(), dict[str, list[Exception | None]]()

    def end_of(value: str) -> Callable[[Exception | None], None]:
        def note(error: Exception | None) -> None:
            with lock:
                ends.setdefault(value, []).append(error)

        return note

    sent = [f"{key} {n}" for n in range(50) for key in ("a", "b", "c")]
    for value in sent:
        producer.send_async(harness.message(value, key=value[0]), end_of(value))
    wait_until(lambda: len(ends) == len(sent), "every acknowledgement")
    found = take(harness.reader(), len(sent))
    for key in ("a", "b", "c"):
        of_key = [message for message in found if message.key == key.encode()]
        assert values(of_key) == [f"{key} {n}" for n in range(50)]
    producer.close()
    assert ends == {value: [None] for value in sent}


def test_what_is_refused_at_once_has_no_other_end(harness: Harness) -> None:
    producer = harness.bus.producer(client_id="test")
    ends: list[Exception | None] = []
    with pytest.raises(PoisonError, match="oversized"):
        producer.send_async(harness.message("x" * MAX_MESSAGE_BYTES), ends.append)
    with pytest.raises(SetupError, match=r"harden\.nothing\.v1 does not exist"):
        producer.send_async(Outgoing("harden.nothing.v1", b"k", b"v"), ends.append)
    producer.send([harness.message("after")])
    producer.close()
    assert ends == []


def test_what_was_not_committed_is_delivered_again(harness: Harness) -> None:
    harness.send(*"abcdef")
    first = harness.member("g")
    assert sorted(values(take(first, 6))) == list("abcdef")
    first.close()
    assert sorted(values(take(harness.member("g"), 6))) == list("abcdef")


def test_a_group_goes_on_after_its_committed_offsets(harness: Harness) -> None:
    harness.send(*"abcdef")
    first = harness.member("g")
    first.commit(after(take(first, 6)))
    first.close()
    harness.send("g", "h")
    second = harness.member("g")
    assert sorted(values(take(second, 2))) == ["g", "h"]
    assert second.poll(0.3, 10) == []


def test_a_commit_below_what_was_polled_brings_the_rest_back(harness: Harness) -> None:
    harness.send("a", "b", "c", key="same")
    first = harness.member("g")
    (a, _, _) = take(first, 3)
    first.commit(after([a]))
    first.close()
    assert values(take(harness.member("g"), 2)) == ["b", "c"]


def test_groups_do_not_know_each_other(harness: Harness) -> None:
    harness.send("a", "b")
    one = harness.member("one")
    one.commit(after(take(one, 2)))
    assert sorted(values(take(harness.member("two"), 2))) == ["a", "b"]


def has_all(consumer: GroupConsumer) -> bool:
    return len(consumer.assigned()) == NUM_PARTITIONS


def in_halves(one: GroupConsumer, two: GroupConsumer) -> bool:
    return len(one.assigned()) == len(two.assigned()) == NUM_PARTITIONS // 2


def test_partitions_are_shared_out_when_a_member_joins_and_taken_over_when_it_leaves(harness: Harness) -> None:
    revoked: list[Partition] = []
    one, two = harness.member("g", on_revoked=revoked.extend), harness.member("g")
    with Polling(one)():
        wait_until(lambda: has_all(one), "all partitions")
        with Polling(two)():
            wait_until(lambda: in_halves(one, two), "a half each")
            assert not one.assigned() & two.assigned()
            assert frozenset(revoked) == two.assigned()
        two.close()
        wait_until(lambda: has_all(one), "the other half")


def test_a_member_that_never_waits_in_poll_takes_part_in_rebalances(harness: Harness) -> None:
    """A worker that is full polls like this, and must neither miss its assignment nor keep the group rebalancing."""
    one, two = harness.member("g"), harness.member("g")
    busy = threading.Event()

    def look_in() -> bool:
        one.poll(0, 1)
        return busy.wait(0.05)

    wait_until(lambda: look_in() or has_all(one), "all partitions")
    with Polling(two)():
        wait_until(lambda: look_in() or in_halves(one, two), "a half each")


def test_a_rebalance_loses_nothing_and_repeats_nothing_that_was_committed_on_revocation(harness: Harness) -> None:
    done: dict[Partition, int] = {}

    def commit_done(partitions: frozenset[Partition]) -> None:
        one.commit({partition: done[partition] for partition in partitions if partition in done})

    one = harness.member("g", on_revoked=commit_done)
    two = harness.member("g")
    harness.send(*(str(n) for n in range(40)))
    done.update(after(take(one, 40)))
    with Polling(one)() as first, Polling(two)() as second:
        wait_until(lambda: in_halves(one, two), "a half each")
        harness.send(*(str(n) for n in range(40, 80)))
        wait_until(lambda: len(first.found) + len(second.found) >= 40, "the second forty")
    assert sorted(values(first.found + second.found), key=int) == [str(n) for n in range(40, 80)]
    assert first.found
    assert second.found


def test_a_listener_that_fails_fails_the_poll(harness: Harness) -> None:
    def broken(partitions: frozenset[Partition]) -> None:
        raise KeyError("a bug in the listener")

    one, two = harness.member("g", on_revoked=broken), harness.member("g")
    wait_until(lambda: one.poll(0.05, 1) or has_all(one), "all partitions")

    def poll() -> None:
        while True:
            one.poll(0.05, 1)

    with Polling(two)(), pytest.raises(KeyError, match="a bug in the listener"):
        poll()


def test_a_member_cannot_commit_for_a_group_that_expelled_it(harness: Harness) -> None:
    harness.send(*"abcd")
    one = harness.member("g")
    found = take(one, 4)
    two = harness.member("g")
    # One does not poll for longer than the interval, so all goes to two.
    wait_until(lambda: two.poll(0.05, 1) or has_all(two), "all partitions")
    with pytest.raises(TransientError):
        one.commit(after(found))


def test_a_paused_member_that_polls_stays_a_member_for_longer_than_the_poll_interval(harness: Harness) -> None:
    revoked: list[Partition] = []
    one = harness.member("g", on_revoked=revoked.extend)
    wait_until(lambda: one.poll(0.05, 1) or has_all(one), "all partitions")
    one.pause(list(one.assigned()))
    harness.send(*"abcdef")
    until = time.monotonic() + 1.5 * MAX_POLL_INTERVAL_S
    while time.monotonic() < until:
        assert one.poll(0.1, 10) == []
    assert not revoked
    one.resume(list(one.assigned()))
    one.commit(after(take(one, 6)))


def test_a_pause_survives_a_rebalance_that_leaves_the_partition_here(harness: Harness) -> None:
    one, two = harness.member("g"), harness.member("g")
    wait_until(lambda: one.poll(0.05, 1) or has_all(one), "all partitions")
    one.pause(list(one.assigned()))
    with Polling(two)() as second:
        with Polling(one)() as first:
            wait_until(lambda: in_halves(one, two), "a half each")
            harness.send(*(str(n) for n in range(40)))
            wait_until(lambda: second.found and not any(two.lag().values()), "the second member's half")
        assert not first.found
        one.resume(list(one.assigned()))
        take(one, 40 - len(second.found))


def test_what_was_polled_before_a_pause_is_not_lost_and_not_repeated(harness: Harness) -> None:
    harness.send(*(str(n) for n in range(100)), key="same")
    one = harness.member("g")
    first = take(one, 10)
    one.pause(list(one.assigned()))
    assert one.poll(0.2, 10) == []
    one.resume(list(one.assigned()))
    assert values(first) + values(take(one, 90)) == [str(n) for n in range(100)]


def test_lag_counts_what_was_not_polled(harness: Harness) -> None:
    harness.send(*(str(n) for n in range(10)), key="same")
    one = harness.member("g")
    take(one, 4)
    assert sum(one.lag().values()) == 6


def test_an_exclusive_producer_fences_the_one_before(harness: Harness) -> None:
    name = f"trainer-{uuid.uuid4().hex}"
    old = harness.bus.exclusive_producer(client_id="one", exclusive_name=name)
    old.send([harness.message("from the old one")])
    new = harness.bus.exclusive_producer(client_id="two", exclusive_name=name)
    for _ in range(2):
        with pytest.raises(FencedError):
            old.send([harness.message("too late")])
    new.send([harness.message("from the new one")])
    reader = harness.reader()
    assert sorted(values(take(reader, 2))) == ["from the new one", "from the old one"]
    assert reader.poll(0.3, 10) == []
    old.close()
    new.close()


def test_an_exclusive_producer_writes_all_or_nothing(harness: Harness) -> None:
    producer = harness.bus.exclusive_producer(client_id="one", exclusive_name=f"trainer-{uuid.uuid4().hex}")
    with pytest.raises(PoisonError):
        producer.send([harness.message("a"), harness.message("b", key="other"), harness.message("x" * MAX_MESSAGE_BYTES)])
    producer.send([harness.message("c"), harness.message("d", key="other")])
    reader = harness.reader()
    assert sorted(values(take(reader, 2))) == ["c", "d"]
    wait_until(lambda: reader.poll(0.05, 1) == [] and reader.caught_up(), "the end of the log")
    producer.close()


def test_a_log_reader_reads_from_the_beginning_and_knows_when_it_has_everything(harness: Harness) -> None:
    harness.send(*"abcdef")
    reader = harness.reader()
    assert not reader.caught_up()
    assert sorted(values(take(reader, 6))) == list("abcdef")
    assert reader.caught_up()
    harness.send("g")
    assert not reader.caught_up()


def test_a_log_reader_of_an_empty_topic_has_caught_up(harness: Harness) -> None:
    reader = harness.reader()
    assert reader.caught_up()
    assert reader.position() == {Partition(harness.work.name, n): 0 for n in range(NUM_PARTITIONS)}


def test_a_log_reader_goes_on_from_the_position_of_another(harness: Harness) -> None:
    harness.send(*(str(n) for n in range(20)))
    first = harness.reader()
    seen = values(take(first, 13))
    position = first.position()
    assert set(position) == {Partition(harness.work.name, n) for n in range(NUM_PARTITIONS)}
    second = harness.reader(dict(position))
    assert sorted(seen + values(take(second, 7)), key=int) == [str(n) for n in range(20)]


def test_a_log_reader_begins_where_it_is_told_and_at_the_beginning_elsewhere(harness: Harness) -> None:
    harness.send("a", "b", "c", key="same")
    (a, _, _) = take(harness.reader(), 3)
    reader = harness.reader({Partition(a.topic, a.partition): 2})
    assert values(take(reader, 1)) == ["c"]


def test_an_oversized_message_is_poison(harness: Harness) -> None:
    producer = harness.bus.producer(client_id="test")
    with pytest.raises(PoisonError) as caught:
        producer.send([harness.message("x" * MAX_MESSAGE_BYTES)])
    assert caught.value.reason == "oversized"


def test_a_message_of_the_largest_size_and_its_dead_letter_fit(harness: Harness) -> None:
    largest = "x" * (MAX_MESSAGE_BYTES - 512)
    harness.send(largest, key="k")
    (found,) = take(harness.reader(), 1)
    assert found.value == largest.encode()
    letter = Outgoing(harness.work.dead, b"k", b"y" * (MAX_MESSAGE_BYTES + 64 * 1024))
    harness.bus.producer(client_id="test").send([letter])


def test_a_topic_that_does_not_exist_is_named_with_the_remedy(harness: Harness) -> None:
    for ask in (
        lambda: harness.bus.log_reader(["harden.nothing.v1"], client_id="t"),
        lambda: harness.bus.group_consumer(["harden.nothing.v1"], group="g", client_id="t", on_revoked=lambda _: None),
        lambda: harness.bus.producer(client_id="t").send([Outgoing("harden.nothing.v1", b"k", b"v")]),
    ):
        with pytest.raises(SetupError, match=r"harden\.nothing\.v1 does not exist"):
            ask()


def test_topics_are_created_once_and_then_pass_the_check(harness: Harness) -> None:
    assert harness.bus.create_topics() == []
    harness.bus.check_topics()
