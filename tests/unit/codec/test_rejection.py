"""An event that breaks a rule is neither decoded nor sent, and the reason names the field."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harden import codec, topics
from harden.codec.facts import BY_EVENT
from harden.domain.conversation import Conversation
from harden.domain.errors import PoisonError
from harden.domain.events import Fact
from harden.domain.round import RunFinished
from harden.domain.seed import Seed
from harden.domain.verdict import ContinuedBout, Verdict
from harden.topics import Topic
from tests.support.facts import (
    a_bout,
    a_completion,
    a_cross_play,
    a_dead_letter,
    a_judged_bout,
    a_published,
    a_recorded_bout,
    a_round,
    a_sampled_bout,
    a_seed,
    a_step,
    a_two_turn_bout,
    an_attacked_bout,
    an_event,
    every_fact,
)
from tests.support.wire import arrived, sent, spoilt, topic_of

Spoil = Callable[[Any], object]


def refusal(topic: Topic, message: Any) -> PoisonError:
    with pytest.raises(PoisonError) as caught:
        codec.from_message(topic, message)
    return caught.value


def outcome(topic: Topic, message: Any) -> str | type:
    """The kind of fact read, or the reason why none was."""
    try:
        return type(codec.from_message(topic, message).fact)
    except PoisonError as error:
        return error.reason


def setting(path: str, value: Any) -> Spoil:
    """Sets one field of a protobuf message, `seed.label`."""

    def spoil(message: Any) -> None:
        *parents, last = path.split(".")
        for name in parents:
            message = getattr(message, name)
        setattr(message, last, value)

    return spoil


def logprob(value: float) -> Spoil:
    def spoil(message: Any) -> None:
        message.sampled.responses[1].completion.logprobs[2] = value

    return spoil


def tokens(count: int) -> Spoil:
    def spoil(message: Any) -> None:
        completion = message.sampled.responses[0].completion
        completion.token_ids[:], completion.logprobs[:] = [1] * count, [0.0] * count

    return spoil


def many_parameters(message: Any) -> None:
    for n in range(65):
        message.bout.attack_plan.parameters[f"p{n}"].flag = True


def a_turn() -> Any:
    """A judged turn as the wire has it."""
    return (
        BY_EVENT["harden.verdict.v1.VerdictsRendered"].message.FromString(sent(an_event(a_judged_bout())).value).judged.turns[0]
    )


RULES: list[tuple[str, Fact, Spoil, str]] = [
    ("no meta", a_seed(), lambda m: m.ClearField("meta"), "meta"),
    ("event id too short", a_seed(), setting("meta.event_id", "ab12"), "meta.event_id"),
    ("event id in capitals", a_seed(), setting("meta.event_id", "A" * 32), "meta.event_id"),
    ("event id with a newline", a_seed(), setting("meta.event_id", "a" * 32 + "\n"), "meta.event_id"),
    ("no service", a_seed(), setting("meta.service", ""), "meta.service"),
    ("time that is none", a_seed(), setting("meta.occurred_at", math.nan), "meta.occurred_at"),
    ("parent that is no id", a_seed(), lambda m: m.meta.parent_ids.append("x"), "meta.parent_ids[1]"),
    ("policy that is no digest", a_seed(), lambda m: m.meta.policy_digests.append("x"), "meta.policy_digests[1]"),
    ("no seed", a_seed(), lambda m: m.ClearField("seed"), "seed"),
    ("unspecified label", a_seed(), setting("seed.label", 0), "seed.label"),
    ("label from the future", a_seed(), setting("seed.label", 99), "seed.label"),
    ("no conversation", a_seed(), lambda m: m.seed.ClearField("conversation"), "seed.conversation"),
    ("no messages", a_seed(), lambda m: m.seed.conversation.ClearField("messages"), "seed.conversation.messages"),
    (
        "speaker unspecified",
        a_seed(),
        lambda m: m.seed.conversation.messages[0].ClearField("speaker"),
        "seed.conversation.messages[0].speaker",
    ),
    (
        "part that is neither",
        a_seed(),
        lambda m: m.seed.conversation.messages[1].parts[0].ClearField("text"),
        "seed.conversation.messages[1].parts[0].kind",
    ),
    ("bout without an id", a_bout(), setting("bout.bout_id", ""), "bout.bout_id"),
    ("too many responses wanted", a_bout(), setting("bout.num_responses", 4097), "bout.num_responses"),
    ("no tokens wanted", a_bout(), setting("bout.response_sampling.max_tokens", 0), "bout.response_sampling.max_tokens"),
    ("negative temperature", a_bout(), setting("bout.response_sampling.temperature", -1.0), "response_sampling.temperature"),
    ("learner unspecified", a_bout(), lambda m: m.bout.learners.append(0), "bout.learners[1]"),
    ("learner named twice", a_bout(), lambda m: m.bout.learners.append(m.bout.learners[0]), "bout.learners"),
    ("panel in capitals", a_bout(), setting("bout.panel", "Strict"), "bout.panel"),
    ("strategy that is no name", a_bout(), setting("bout.attack_plan.strategy", "../policy"), "bout.attack_plan.strategy"),
    ("no turns", a_bout(), setting("bout.attack_plan.turns", 0), "bout.attack_plan.turns"),
    ("too many turns", a_bout(), setting("bout.attack_plan.turns", 17), "bout.attack_plan.turns"),
    ("too many tokens", a_bout(), setting("bout.attack_plan.sampling.max_tokens", 200_000), "sampling.max_tokens"),
    ("parameter of nothing", a_bout(), lambda m: m.bout.attack_plan.parameters["depth"].Clear(), "parameters"),
    ("parameter without a name", a_bout(), lambda m: setattr(m.bout.attack_plan.parameters[""], "flag", True), "parameters"),
    ("too many parameters", a_bout(), many_parameters, "bout.attack_plan.parameters"),
    ("seed text too long", a_seed(), setting("seed.answer_key", "x" * 262_145), "seed.answer_key"),
    ("no defender", a_bout(), lambda m: m.bout.ClearField("defender"), "bout.defender"),
    ("defender without a digest", a_bout(), setting("bout.defender.digest", "sha256:12"), "bout.defender.digest"),
    (
        "policy plan without sampling",
        a_bout(),
        lambda m: m.bout.attack_plan.ClearField("sampling"),
        "bout.attack_plan: sampling",
    ),
    ("no attacks wanted", a_bout(), setting("bout.attack_plan.num_attacks", 0), "bout.attack_plan"),
    ("fewer recorded", a_recorded_bout("x"), lambda m: m.bout.attack_plan.recorded.pop(), "bout.attack_plan: recorded"),
    ("no attacks", an_attacked_bout(), lambda m: m.attacked.ClearField("attacks"), "attacked.attacks"),
    (
        "picture without a digest",
        an_attacked_bout(),
        lambda m: m.attacked.attacks[0].conversation.messages[0].parts[1].image.blob.ClearField("sha256"),
        "attacked.attacks[0].conversation.messages[0].parts[1].image.blob.sha256",
    ),
    ("log-prob that is none", a_sampled_bout(), logprob(math.nan), "sampled.responses[1].completion.logprobs[2]"),
    ("log-prob without end", a_sampled_bout(), logprob(-math.inf), "sampled.responses[1].completion.logprobs[2]"),
    ("probability above 1", a_sampled_bout(), logprob(0.5), "sampled.responses[1].completion.logprobs[2]"),
    (
        "token without log-prob",
        a_sampled_bout(),
        lambda m: m.sampled.responses[3].completion.logprobs.pop(),
        "sampled.responses[3].completion: token_ids and logprobs must have the same length",
    ),
    ("response missing", a_sampled_bout(), lambda m: m.sampled.responses.pop(), "responses: 7 of them"),
    ("responses in another order", a_sampled_bout(), lambda m: m.sampled.responses.reverse(), "responses: 8 of them"),
    ("too many tokens drawn", a_sampled_bout(), tokens(131_073), "sampled.responses[0].completion.token_ids"),
    ("decision missing", a_judged_bout(), lambda m: m.judged.turns[0].response_decisions.pop(), "response_decisions: 7 for 8"),
    (
        "decision that is not there",
        a_judged_bout(),
        lambda m: m.judged.turns[0].attack_decisions.append(m.judged.turns[0].attack_decisions.pop() + 9),
        "attack_decisions: number 9",
    ),
    ("no turn", a_judged_bout(), lambda m: m.judged.ClearField("turns"), "judged.turns"),
    ("more turns than planned", a_judged_bout(), lambda m: m.judged.turns.add().CopyFrom(m.judged.turns[0]), "has 1 turns"),
    ("turns before the first", an_attacked_bout(), lambda m: m.attacked.previous.add().CopyFrom(a_turn()), "has 1 turns"),
    (
        "bout that goes on after its last turn",
        ContinuedBout(a_two_turn_bout().turns()[0]),
        lambda m: m.turns.add().CopyFrom(m.turns[0]),
        "is over after its 2 turns",
    ),
    (
        "answer without a value",
        a_judged_bout(),
        lambda m: m.judged.turns[0].decisions[0].answers[0].ClearField("label"),
        "judged.turns[0].decisions[0].answers[0].value",
    ),
    (
        "question in prose",
        a_judged_bout(),
        lambda m: setattr(m.judged.turns[0].decisions[1].ballots[0].answers[0], "question", "Is it bad?"),
        "judged.turns[0].decisions[1].ballots[0].answers[0].question",
    ),
    (
        "score that is none",
        a_judged_bout(),
        lambda m: setattr(m.judged.turns[0].decisions[0].answers[0], "score", math.nan),
        "judged.turns[0].decisions[0].answers[0].score",
    ),
    ("publication without a manifest", a_published(), lambda m: m.ClearField("manifest"), "manifest"),
    ("reason in prose", a_published(), setting("reason", "Because I say so"), "reason"),
    ("step of nobody", a_step(), setting("role", 0), "role"),
    ("figure that is none", a_step(), setting("kl", math.nan), "kl"),
    ("figure of an objective that is none", a_step(), lambda m: m.figures.update({"x": math.inf}), "figures"),
    ("drop reason in prose", a_round(), lambda m: m.bouts.dropped.update({"It was old": 1}), "bouts.dropped"),
    ("more hits than trials", a_round(), setting("attacker.strict.k", 9), "attacker.strict"),
    ("round without an account", a_round(), lambda m: m.ClearField("bouts"), "bouts"),
    ("round of a policy that is no digest", a_round(), lambda m: setattr(m.policies[0], "digest", "x"), "policies[0].digest"),
    ("attacker without a row", a_cross_play(), lambda m: m.attackers.append(2), "the message"),
    ("row without a cell", a_cross_play(), lambda m: m.defenders.append(3), "the message"),
    ("run that failed for no reason", RunFinished("run-0", 7, "x", 1.0), setting("failed", ""), "failed"),
    ("dead letter without a place", a_dead_letter(), setting("topic", ""), "topic"),
    ("dead letter before the beginning", a_dead_letter(), setting("offset", -1), "offset"),
]


@pytest.mark.parametrize(("fact", "spoil", "field"), [pytest.param(*rule[1:], id=rule[0]) for rule in RULES])
def test_a_broken_rule_is_named_and_keeps_the_message_out(fact: Fact, spoil: Spoil, field: str) -> None:
    error = refusal(topic_of(fact), spoilt(fact, spoil))
    assert error.reason == "invalid"
    assert f" {field}" in error.detail or f".{field}" in error.detail


def test_rounding_may_lift_a_log_prob_a_little_above_zero() -> None:
    fact = a_sampled_bout()
    assert codec.from_message(topics.RESPONSES, spoilt(fact, logprob(1e-7))).fact != fact


def test_a_refusal_does_not_repeat_what_somebody_wrote() -> None:
    error = refusal(topics.SEEDS, spoilt(a_seed(), setting("seed.category", "moonwater " * 20)))
    assert error.reason == "invalid"
    assert "moonwater" not in str(error)


LEAVING: list[tuple[str, Topic, Fact, str]] = [
    ("seed id", topics.SEEDS, replace(a_seed(), seed_id="seed-1"), "seed.seed_id"),
    ("silence", topics.SEEDS, replace(a_seed(), conversation=Conversation(())), "seed.conversation.messages"),
    ("digest", topics.BOUTS, replace(a_bout(), defender=replace(a_bout().defender, digest="latest")), "bout.defender.digest"),
    ("responses", topics.RESPONSES, replace(a_sampled_bout(), responses=a_sampled_bout().responses[1:]), "responses"),
    ("verdicts", topics.VERDICTS, replace(a_judged_bout(), attack_verdicts=()), "attack_verdicts"),
    (
        "log-prob",
        topics.ATTACKS,
        replace(
            an_attacked_bout(),
            attacks=(
                replace(an_attacked_bout().attacks[0], completion=replace(a_completion(num_tokens=1), logprobs=(math.inf,))),
            ),
        ),
        "attacked.attacks[0].completion.logprobs[0]",
    ),
]


@pytest.mark.parametrize(("topic", "fact", "field"), [pytest.param(*case[1:], id=case[0]) for case in LEAVING])
def test_what_is_invalid_does_not_leave(topic: Topic, fact: Fact, field: str) -> None:
    with pytest.raises(ValueError, match=field.replace("[", r"\[")):
        codec.to_message(topic, an_event(fact))


def test_verdicts_on_other_attacks_do_not_leave() -> None:
    judged = a_judged_bout()
    stranger = Verdict(a_seed().seed_id, ())
    with pytest.raises(ValueError, match="attack_verdicts"):
        codec.to_message(topics.VERDICTS, an_event(replace(judged, attack_verdicts=(stranger, judged.attack_verdicts[1]))))


@pytest.mark.parametrize("seed", [replace(a_seed(), category="\ud800"), replace(a_seed(), source="\udfff")])
def test_text_that_is_no_unicode_does_not_leave(seed: Seed) -> None:
    with pytest.raises(ValueError, match=f"SeedSubmitted {an_event(seed).meta.event_id} cannot be written"):
        codec.to_message(topics.SEEDS, an_event(seed))


@pytest.mark.parametrize("step", [-1, 2**32])
def test_a_number_that_its_field_cannot_hold_does_not_leave(step: int) -> None:
    with pytest.raises(ValueError, match=r"BoutScheduled .* cannot be written: .*range"):
        codec.to_message(topics.BOUTS, an_event(replace(a_bout(), step=step)))


def test_an_event_does_not_leave_on_a_topic_of_others() -> None:
    with pytest.raises(ValueError, match=r"harden\.seed\.v1\.SeedSubmitted does not belong on harden\.bouts\.v1"):
        codec.to_message(topics.BOUTS, an_event(a_seed()))


@pytest.mark.parametrize("topic", topics.CATALOGUE, ids=lambda topic: topic.noun)
def test_bytes_that_are_no_protobuf_are_malformed_on_every_topic(topic: Topic) -> None:
    message = arrived(sent(an_event(a_seed())), value=b"\xff\xff\xff", headers=(("event", topic.events[0].encode()),))
    assert refusal(topic, message).reason == "malformed"


def test_a_message_must_say_what_it_is() -> None:
    message = sent(an_event(a_seed()))
    assert refusal(topics.SEEDS, arrived(message, headers=())).reason == "missing_event_name"
    assert refusal(topics.SEEDS, arrived(message, headers=(("event", b"\xff"),))).reason == "missing_event_name"
    assert refusal(topics.SEEDS, arrived(message, headers=(("event", b"harden.seed.v9.Sown"),))).reason == "unknown_event"


def test_an_event_of_another_topic_is_refused() -> None:
    assert refusal(topics.BOUTS, arrived(sent(an_event(a_seed())))).reason == "wrong_topic"
    dead = arrived(sent(an_event(a_dead_letter())))
    assert refusal(topics.VERDICTS, replace(dead, topic=topics.VERDICTS.name)).reason == "wrong_topic"


def test_a_message_longer_than_its_topic_allows_is_not_even_parsed() -> None:
    small = replace(topics.SEEDS, max_message_bytes=100)
    message = sent(an_event(a_seed()))
    assert refusal(small, arrived(message)).reason == "too_large"
    with pytest.raises(PoisonError) as caught:
        codec.to_message(small, an_event(a_seed()))
    assert caught.value.reason == "too_large"


def test_a_dead_letter_holds_the_longest_message_its_topic_allows() -> None:
    small = replace(topics.VERDICTS, max_message_bytes=1000)
    dead = replace(a_dead_letter(), value=b"x" * 1000, detail="d" * 100_000)
    got = codec.from_message(small, arrived(codec.dead_letter_message(small, dead))).fact
    assert got == replace(dead, detail="d" * 2000)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([fact for _, fact in every_fact()]), st.data())
def test_damaged_bytes_are_poison_or_another_valid_event_and_nothing_else(fact: Fact, data: st.DataObject) -> None:
    message = sent(an_event(fact))
    value = bytearray(message.value)
    for _ in range(data.draw(st.integers(1, 3))):
        if value:
            value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    damaged = arrived(message, value=bytes(value[: data.draw(st.integers(0, len(value)))]))
    assert outcome(topic_of(fact), damaged) in {"malformed", "invalid", type(fact)}


def test_a_message_of_millions_of_empty_parts_is_refused_by_their_number() -> None:
    """Two bytes each on the wire and a hundred in memory: counting them comes before looking at them."""
    message = sent(an_event(a_sampled_bout()))
    responses = b"\x12\x00" * 100_000  # SampledBout.responses, empty
    more = b"\x12" + varint(len(responses)) + responses  # merged into ResponsesSampled.sampled
    error = refusal(topics.RESPONSES, arrived(message, value=message.value + more))
    assert error.reason == "invalid"
    assert "sampled.responses: must contain no more than" in error.detail


def test_a_newer_writer_s_field_is_passed_over() -> None:
    message = sent(an_event(a_seed()))
    unknown = b"\xfa\x3e\x03abc"  # field 1007, which no version has yet
    assert codec.from_message(topics.SEEDS, arrived(message, value=message.value + unknown)).fact == a_seed()


def varint(number: int) -> bytes:
    """`number` as protobuf writes lengths: seven bits a byte, the lowest first."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])
