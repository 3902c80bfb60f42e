from collections.abc import Callable
from dataclasses import replace

import pytest

from harden.domain.bout import AttackSource, Purpose, Role
from harden.domain.completion import FinishReason
from harden.domain.verdict import JudgedBout, Label, Refusal
from harden.trainer.core import admission
from harden.trainer.core.admission import AdmissionRules, Graded, graded
from harden.trainer.core.rewards import OFF_GOAL, UNSCOREABLE_RESPONSE, AttackerRewards, DefenderRewards
from tests.unit.trainer.judged import LEAK, OTHER, REFUSED, a_judged_bout, digest_of, on_attack, on_response

UNDECIDED = on_response(Label.UNSCOREABLE, Refusal.UNSCOREABLE)


def grade(
    judged: JudgedBout, *, lag_of: Callable[[str], int | None] = lambda digest: 0, rules: AdmissionRules | None = None
) -> Graded:
    return graded(judged, lag_of, rules or AdmissionRules(), DefenderRewards(), AttackerRewards())


def test_a_defender_has_a_group_for_each_attack() -> None:
    result = grade(a_judged_bout([(on_attack(), [LEAK, REFUSED]), (on_attack(), [OTHER, OTHER])]))
    assert [group.rewards for group in result.groups] == [(-1.0, 1.0), (-0.5, -0.5)]
    assert [group.attack.attack_id for group in result.groups if group.attack] == ["a0", "a1"]
    assert result.reason == ""


def test_an_attacker_has_one_group_for_the_seed() -> None:
    exchanges = [(on_attack(), [LEAK]), (on_attack(), [REFUSED]), (on_attack(on_goal=Label.NO), [LEAK])]
    (group,) = grade(a_judged_bout(exchanges, learner=Role.ATTACKER)).groups
    assert group.attack is None
    assert group.rewards == (1.0, 0.0, -0.5)


def test_undecided_samples_are_left_out_and_counted() -> None:
    result = grade(a_judged_bout([(on_attack(), [LEAK, UNDECIDED, REFUSED])]))
    assert result.groups[0].rewards == (-1.0, 1.0)
    assert result.left_out == {UNSCOREABLE_RESPONSE: 1}


def test_a_sample_alone_is_no_group() -> None:
    result = grade(a_judged_bout([(on_attack(), [LEAK, UNDECIDED, UNDECIDED])]))
    assert result.groups == ()
    assert result.left_out == {UNSCOREABLE_RESPONSE: 2, admission.LONELY: 1}
    assert result.reason == UNSCOREABLE_RESPONSE


def test_attacks_off_goal_teach_the_defender_nothing() -> None:
    assert grade(a_judged_bout([(on_attack(on_goal=Label.NO), [LEAK, REFUSED])])).reason == OFF_GOAL


@pytest.mark.parametrize(("lag", "is_kept"), [(0, True), (8, True), (9, False), (None, False)])
def test_the_lag_bound_holds_exactly(lag: int | None, is_kept: bool) -> None:
    result = grade(a_judged_bout([(on_attack(), [LEAK, REFUSED])]), lag_of=lambda _: lag, rules=AdmissionRules(8))
    assert bool(result.groups) is is_kept
    if not is_kept:
        assert result.reason == (admission.UNKNOWN_POLICY if lag is None else admission.STALE)


def test_samples_of_several_policies_are_judged_one_by_one() -> None:
    judged = a_judged_bout([(on_attack(), [LEAK, REFUSED, OTHER])], versions=[5, 1, 4])
    result = grade(
        judged, lag_of={digest_of(5): 0, digest_of(1): 4, digest_of(4): 1}.get, rules=AdmissionRules(max_version_lag=2)
    )
    assert result.groups[0].rewards == (-1.0, -0.5)
    assert [completion.policy_version for completion in result.groups[0].completions] == [5, 4]
    assert result.left_out == {admission.STALE: 1}


def test_another_runs_sample_of_a_version_that_this_run_has_too_is_refused() -> None:
    judged = a_judged_bout([(on_attack(), [LEAK, REFUSED, OTHER])])
    *ours, last = judged.sampled.responses
    foreign = replace(last, completion=replace(last.completion, policy_digest=digest_of(99)))
    judged = replace(judged, sampled=replace(judged.sampled, responses=(*ours, foreign)))
    result = grade(judged, lag_of={digest_of(1): 0}.get)
    assert len(result.groups[0].completions) == 2
    assert result.left_out == {admission.UNKNOWN_POLICY: 1}


def test_attacks_nobody_sampled_teach_the_attacker_nothing() -> None:
    exchanges = [(on_attack(), [LEAK]), (on_attack(), [REFUSED])]
    judged = a_judged_bout(exchanges, learner=Role.ATTACKER, source=AttackSource.TRANSFORM)
    assert grade(judged).reason == admission.NOT_SAMPLED


def test_truncated_answers_are_dropped_when_asked() -> None:
    judged = a_judged_bout([(on_attack(), [LEAK, REFUSED])], finish=FinishReason.LENGTH)
    assert grade(judged).groups
    assert grade(judged, rules=AdmissionRules(drop_truncated=True)).reason == admission.TRUNCATED


def test_evaluations_are_never_trained_on() -> None:
    judged = a_judged_bout([(on_attack(), [LEAK, REFUSED])], purpose=Purpose.EVALUATE, learner=None)
    assert grade(judged).reason == admission.NOT_FOR_TRAINING
