"""Which bouts an algorithm of groups wants, and which groups of samples it makes of what came back."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harden.domain.bout import Purpose, RecordedAttack, Role, Strategy
from harden.domain.completion import FinishReason, Sampling
from harden.domain.policy import Slot
from harden.domain.seed import SeedLabel
from harden.domain.verdict import JudgedBout, Label, Refusal
from harden.store.object_store import ObjectStore
from harden.trainer.algorithms.grpo import GRPO, LONELY
from harden.trainer.algorithms.ports import BoutRequest, Equipment, StepContext
from harden.trainer.algorithms.rewards import OFF_GOAL, UNSCOREABLE_RESPONSE
from harden.trainer.core import admission
from harden.trainer.core.admission import LagOf
from harden.trainer.core.plan import Moment, Replayed
from harden.trainer.objectives.ports import SampleGroup
from harden.worlds import registry
from tests.support.builders import a_policy, a_seed
from tests.unit.trainer.judged import LEAK, OTHER, REFUSED, a_judged_bout, on_attack, on_response

UNDECIDED = on_response(Label.UNSCOREABLE, Refusal.UNSCOREABLE)
SEEDS = {
    "forbidden": [a_seed(f"forbidden {i}", category="forbidden") for i in range(5)],
    "allowed": [a_seed(f"allowed {i}", SeedLabel.BENIGN, "allowed") for i in range(4)],
}
MIX = [
    {"name": "live", "category": "forbidden", "attacks": "policy", "share": 0.25},
    {"name": "replay", "category": "forbidden", "attacks": "recorded", "share": 0.25},
    {"name": "guarded", "category": "allowed", "attacks": "transform", "share": 0.5},
]


def grpo(tmp_path: Path, role: Role = Role.DEFENDER, **settings: Any) -> GRPO:
    world = registry.load("arena")
    equipment = Equipment(
        role=role,
        attack_sampling=Sampling(16),
        response_sampling=Sampling(8),
        max_version_lag=8,
        anchors=world.anchors,
        images=world.images,
        store=ObjectStore(str(tmp_path)),
    )
    chosen = {"bouts_per_step": 8, "num_attacks": 1, "num_responses": 4, "mix": MIX, **settings}
    return GRPO(GRPO.Settings.model_validate(chosen), equipment)


def a_moment(step: int = 0) -> Moment:
    policies = {Slot.ATTACKER: a_policy(Slot.ATTACKER), Slot.DEFENDER: a_policy(Slot.DEFENDER)}
    return Moment("r" * 32, 1, step, "defender", policies)


def a_request(num_old: int, moment: Moment | None = None) -> BoutRequest:
    old = [Replayed(SEEDS["forbidden"][i], RecordedAttack(f"old {i}", "split")) for i in range(num_old)]
    return BoutRequest(moment or a_moment(), SEEDS, lambda count, random_seed: old[:count])


def test_the_same_step_wants_the_same_bouts(tmp_path: Path) -> None:
    assert grpo(tmp_path).bouts(a_request(2)) == grpo(tmp_path).bouts(a_request(2))


def test_two_steps_share_no_bout_id(tmp_path: Path) -> None:
    first, second = (grpo(tmp_path).bouts(a_request(0, a_moment(step))) for step in (0, 1))
    assert not {bout.bout_id for bout in first} & {bout.bout_id for bout in second}


def test_the_mixture_is_kept(tmp_path: Path) -> None:
    bouts = grpo(tmp_path).bouts(a_request(2))
    assert [bout.suite for bout in bouts] == ["live"] * 2 + ["replay"] * 2 + ["guarded"] * 4
    assert all(bout.learners == (Role.DEFENDER,) for bout in bouts)


def test_the_policy_attacks_where_the_pool_is_short(tmp_path: Path) -> None:
    bouts = grpo(tmp_path).bouts(a_request(1))
    assert [bout.attack_plan.strategy for bout in bouts if bout.suite == "replay"] == [Strategy.RECORDED, Strategy.POLICY]


def test_a_category_without_seeds_is_named(tmp_path: Path) -> None:
    request = replace(a_request(0), seeds={"forbidden": SEEDS["forbidden"]})
    with pytest.raises(ValueError, match=r"'allowed'.*submit some"):
        grpo(tmp_path).bouts(request)


def test_bouts_go_to_the_panel_asked_for_and_are_attacked_as_the_mixture_says(tmp_path: Path) -> None:
    mix = [{**MIX[0], "attacks": "crescendo", "turns": 3, "parameters": {"backtrack": False}}]
    bouts = grpo(tmp_path, mix=mix).bouts(a_request(0, replace(a_moment(), panel="strict")))
    assert {bout.panel for bout in bouts} == {"strict"}
    assert {(b.attack_plan.strategy, b.attack_plan.turns, b.attack_plan.sampling) for b in bouts} == {
        ("crescendo", 3, Sampling(16))
    }
    assert all(bout.attack_plan.parameters == {"backtrack": False} for bout in bouts)


def learned(
    tmp_path: Path, judged: JudgedBout, *, role: Role = Role.DEFENDER, lag_of: LagOf = lambda completion: 0, **settings: Any
) -> tuple[Sequence[SampleGroup], str]:
    """The groups of one bout, and why nothing of it was learned from."""
    rewarded = grpo(tmp_path, role, **settings).groups([judged], StepContext("run", 1, 0, SEEDS, lag_of))
    return rewarded.groups, rewarded.dropped.get(judged.bout.bout_id, "")


def rewards(group: SampleGroup) -> list[float]:
    return [sample.reward for sample in group.samples]


def test_a_defender_has_a_group_for_each_attack(tmp_path: Path) -> None:
    groups, reason = learned(tmp_path, a_judged_bout([(on_attack(), [LEAK, REFUSED]), (on_attack(), [OTHER, OTHER])]))
    assert [rewards(group) for group in groups] == [[-1.0, 1.0], [-0.5, -0.5]]
    assert [group.prompt.conversation.last_text for group in groups] == ["text 0", "text 1"]
    assert reason == ""


def test_an_attacker_has_one_group_for_the_seed(tmp_path: Path) -> None:
    exchanges = [(on_attack(), [LEAK]), (on_attack(), [REFUSED]), (on_attack(on_goal=Label.NO), [LEAK])]
    (group,), _ = learned(tmp_path, a_judged_bout(exchanges, learner=Role.ATTACKER), role=Role.ATTACKER)
    assert rewards(group) == [1.0, 0.0, -0.5]
    assert group.prompt.conversation.last_text == "how to brew it"


def test_undecided_samples_are_left_out(tmp_path: Path) -> None:
    (group,), _ = learned(tmp_path, a_judged_bout([(on_attack(), [LEAK, UNDECIDED, REFUSED])]))
    assert rewards(group) == [-1.0, 1.0]


def test_a_bout_without_a_group_names_the_most_frequent_reason(tmp_path: Path) -> None:
    groups, reason = learned(tmp_path, a_judged_bout([(on_attack(), [LEAK, UNDECIDED, UNDECIDED])]))
    assert (list(groups), reason) == ([], UNSCOREABLE_RESPONSE)
    assert learned(tmp_path, a_judged_bout([(on_attack(), [LEAK])]))[1] == LONELY


def test_attacks_off_goal_teach_the_defender_nothing(tmp_path: Path) -> None:
    assert learned(tmp_path, a_judged_bout([(on_attack(on_goal=Label.NO), [LEAK, REFUSED])]))[1] == OFF_GOAL


@pytest.mark.parametrize(("lag", "why"), [(0, ""), (8, ""), (9, admission.STALE), (None, admission.UNKNOWN_POLICY)])
def test_the_lag_bound_holds_exactly(tmp_path: Path, lag: int | None, why: str) -> None:
    assert learned(tmp_path, a_judged_bout([(on_attack(), [LEAK, REFUSED])]), lag_of=lambda completion: lag)[1] == why


def test_samples_of_several_policies_are_admitted_one_by_one(tmp_path: Path) -> None:
    judged = a_judged_bout([(on_attack(), [LEAK, REFUSED, OTHER])], versions=[15, 1, 14])
    (group,), _ = learned(tmp_path, judged, lag_of=lambda completion: 15 - completion.policy_version)
    assert rewards(group) == [-1.0, -0.5]
    assert [sample.lag for sample in group.samples] == [0, 1]


def test_attacks_that_no_policy_wrote_teach_the_attacker_nothing(tmp_path: Path) -> None:
    exchanges = [(on_attack(), [LEAK]), (on_attack(), [REFUSED])]
    judged = a_judged_bout(exchanges, learner=Role.ATTACKER, strategy=Strategy.TRANSFORM)
    assert learned(tmp_path, judged, role=Role.ATTACKER)[1] == admission.NOT_SAMPLED


def test_truncated_answers_are_left_out_when_asked(tmp_path: Path) -> None:
    judged = a_judged_bout([(on_attack(), [LEAK, REFUSED])], finish=FinishReason.LENGTH)
    assert learned(tmp_path, judged)[1] == ""
    assert learned(tmp_path, judged, drop_truncated=True)[1] == admission.TRUNCATED


def test_evaluations_are_never_trained_on(tmp_path: Path) -> None:
    judged = a_judged_bout([(on_attack(), [LEAK, REFUSED])], purpose=Purpose.EVALUATE, learner=None)
    assert learned(tmp_path, judged)[1] == admission.NOT_FOR_TRAINING
