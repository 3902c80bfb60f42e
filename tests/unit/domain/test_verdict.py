"""What a reader of verdicts gets where a judge said something, nothing, or what no reader knows."""

from dataclasses import replace

import pytest

from harden.domain.attack import AttackedBout
from harden.domain.bout import AttackPlan, Role
from harden.domain.completion import Sampling
from harden.domain.verdict import Answer, ContinuedBout, Label, Refusal, Verdict, answers_of
from tests.support.builders import a_bout
from tests.support.facts import a_two_turn_bout


def test_a_label_that_nobody_gave_is_unscoreable() -> None:
    verdict = Verdict("v", answers_of(refusal="full", correct=None))
    assert verdict.label("refusal") == "full"
    assert verdict.label("correct") == verdict.label("never asked") == "unscoreable"
    assert verdict.family == ""


def test_a_label_that_no_reader_knows_is_never_counted() -> None:
    verdict = Verdict("v", answers_of(refusal="somewhat", on_goal="maybe"))
    assert (verdict.refusal, verdict.on_goal) == (Refusal.UNSCOREABLE, Label.UNSCOREABLE)


def test_an_answer_is_a_label_or_a_score() -> None:
    verdict = Verdict("v", (Answer("harm", score=0.5), Answer("refusal", "none")))
    assert (verdict.score("harm"), verdict.score("refusal"), verdict.score("other")) == (0.5, None, None)
    assert verdict.label("harm") == "unscoreable"
    for values in ({}, {"label": "yes", "score": 1.0}):
        with pytest.raises(ValueError, match="either a label or a score"):
            Answer("harm", **values)  # type: ignore[arg-type]


def test_turns_are_counted_and_none_is_beyond_the_plan() -> None:
    second = a_two_turn_bout()
    first = second.turns()[0]
    assert [judged.turn for judged in second.turns()] == [0, 1]
    assert (first.has_turns_left, second.has_turns_left) == (True, False)
    with pytest.raises(ValueError, match="over after its 2 turns"):
        ContinuedBout(second)
    with pytest.raises(ValueError, match="has 2 turns and is in turn 3"):
        AttackedBout(second.bout, second.sampled.attacked.attacks, previous=second)
    with pytest.raises(ValueError, match="the turn before is one of bout"):
        AttackedBout(replace(second.bout, round=9), second.sampled.attacked.attacks, previous=first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"turns": 0}, "from 1 to 16 turns, not 0"),
        ({"turns": 17}, "from 1 to 16 turns, not 17"),
        ({"num_attacks": 0}, "at least one attack"),
        ({"strategy": "policy", "sampling": None}, "policy needs sampling"),
        ({"strategy": "recorded"}, "brings 0 recorded ones"),
    ],
)
def test_a_plan_that_cannot_be_played_is_none(change: dict[str, object], message: str) -> None:
    fields: dict[str, object] = {"strategy": "crescendo", "num_attacks": 2, "sampling": Sampling(8), **change}
    with pytest.raises(ValueError, match=message):
        AttackPlan(**fields)  # type: ignore[arg-type]


def test_a_bout_asks_for_no_fewer_than_no_responses_and_names_a_learner_once() -> None:
    assert a_bout(num_responses=0).num_responses == 0
    with pytest.raises(ValueError, match="num_responses must not be negative"):
        a_bout(num_responses=-1)
    with pytest.raises(ValueError, match="names a role twice: attacker, attacker"):
        replace(a_bout(), learners=(Role.ATTACKER, Role.ATTACKER))
