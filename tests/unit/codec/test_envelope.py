"""Keys and headers: what the bus sees of an event without opening it."""

import pytest

from harden import codec, topics
from harden.domain import ids
from harden.domain.events import Fact
from harden.domain.policy import PolicyRetired, PolicyServed, Slot
from tests.support.facts import (
    a_bout,
    a_dead_letter,
    a_judged_bout,
    a_meta,
    a_policy,
    a_published,
    a_sampled_bout,
    a_seed,
    an_attacked_bout,
    an_event,
    every_fact,
)
from tests.support.wire import arrived, sent

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "fact", [a_bout(), an_attacked_bout(), a_sampled_bout(), a_judged_bout()], ids=lambda f: type(f).__name__
)
def test_a_bout_keeps_its_key_from_start_to_end(fact: Fact) -> None:
    assert codec.key_of(fact) == a_bout().bout_id.encode()


def test_keys_are_what_the_catalogue_says() -> None:
    assert codec.key_of(a_seed()) == a_seed().seed_id.encode()
    assert codec.key_of(a_published()) == b"defender"
    served = PolicyServed(a_policy(Slot.DEFENDER_STABLE), "triton-1", 1.0, 1.0, 0.0, 11.0, True)
    assert codec.key_of(served) == b"defender_stable/triton-1"
    assert codec.key_of(a_dead_letter()) == b"\xffkey"


def test_the_end_of_a_policy_does_not_erase_the_newest_publication() -> None:
    """`policies` is compacted: of equal keys only the last message stays."""
    retired = [PolicyRetired(a_policy(version=version), "superseded") for version in (5, 6)]
    assert len({codec.key_of(fact) for fact in (a_published(), *retired)}) == 3


@pytest.mark.parametrize(("name", "fact"), list(every_fact()))
def test_headers_name_the_event_and_its_id(name: str, fact: Fact) -> None:
    message = sent(an_event(fact))
    headers = dict(message.headers)
    assert codec.event_name(message) == headers["event"].decode()
    assert headers["event"].decode().endswith("." + name.split(".")[0])
    assert ids.is_id(headers["event_id"].decode())


def test_trace_context_travels_and_nothing_else_does() -> None:
    trace = {"traceparent": TRACEPARENT, "tracestate": "a=1", "baggage": "secret"}
    message = codec.to_message(topics.SEEDS, an_event(a_seed()), trace)
    assert codec.trace_of(arrived(message)) == {"traceparent": TRACEPARENT, "tracestate": "a=1"}
    assert b"secret" not in b"".join(value for _, value in message.headers)


def test_without_a_trace_there_are_no_trace_headers() -> None:
    message = codec.to_message(topics.SEEDS, an_event(a_seed()), {"tracestate": ""})
    assert [name for name, _ in message.headers] == ["event", "event_id"]
    assert codec.trace_of(message) == {}


def test_a_dead_letter_goes_beside_its_topic_under_the_original_key() -> None:
    message = codec.dead_letter_message(topics.VERDICTS, a_dead_letter(), {"traceparent": TRACEPARENT})
    assert message.topic == "harden.verdicts.v1.dead"
    assert message.key == b"\xffkey"
    assert codec.trace_of(message) == {"traceparent": TRACEPARENT}


def test_a_message_that_dies_twice_is_the_same_dead_letter() -> None:
    first, second = (codec.dead_letter_message(topics.VERDICTS, a_dead_letter()) for _ in range(2))
    assert first == second
    got = codec.from_message(topics.VERDICTS, arrived(first))
    assert got.fact == a_dead_letter()
    assert got.meta.event_id == dict(first.headers)["event_id"].decode()


def test_the_envelope_comes_back_whole() -> None:
    got = codec.from_message(topics.SEEDS, arrived(sent(an_event(a_seed(), "sown"))))
    assert got.meta == a_meta("sown")
