"""Which bouts a step has, and which samples of what came back are learned from in which groups."""

from dataclasses import replace

import pytest

from harden import plugins
from harden.domain.bout import Purpose, RecordedAttack, Role, Strategy
from harden.domain.completion import Sampling
from harden.domain.errors import SetupError
from harden.domain.verdict import Label, Refusal
from harden.trainer.algorithms.groups import Groups
from harden.trainer.algorithms.grpo import GRPO, SINGLETON
from harden.trainer.algorithms.rewards import OFF_GOAL, UNSCOREABLE_RESPONSE
from harden.trainer.algorithms.rloo import RLOO
from harden.trainer.core import admission
from harden.trainer.core.plan import Replayed
from harden.worlds import registry
from tests.unit.algorithms.played import MIX, SEEDS, a_context, a_request, made
from tests.unit.trainer.judged import LEAK, OTHER, REFUSED, a_judged_bout, digest_of, on_attack, on_response

UNDECIDED = on_response(Label.UNSCOREABLE, Refusal.UNSCOREABLE)


def old_attacks(n: int) -> tuple[Replayed, ...]:
    return tuple(Replayed(SEEDS["harmful"][0], RecordedAttack(f"old {i}", "none/plain")) for i in range(n))


def rewards_of(algorithm: object, *judged: object, **context: object) -> list[tuple[float, ...]]:
    terms = algorithm.terms(judged, a_context(**context)).terms  # type: ignore[attr-defined]
    return [tuple(sample.reward for sample in group.samples) for term in terms for group in term.groups]


# Bouts


def test_the_same_step_has_the_same_bouts() -> None:
    assert made(GRPO).bouts(a_request(pool=old_attacks(2))) == made(GRPO).bouts(a_request(pool=old_attacks(2)))


def test_two_steps_share_no_bout_id() -> None:
    first, second = (made(GRPO).bouts(a_request(step)) for step in (0, 1))
    assert not {bout.bout_id for bout in first} & {bout.bout_id for bout in second}


def test_the_mix_is_kept() -> None:
    bouts = made(GRPO).bouts(a_request(pool=old_attacks(2)))
    assert [bout.suite for bout in bouts] == ["live"] * 2 + ["replay"] * 2 + ["ordinary"] * 4
    assert {(bout.purpose, bout.learners) for bout in bouts} == {(Purpose.TRAIN, (Role.DEFENDER,))}


def test_the_policy_attacks_where_the_pool_is_short() -> None:
    replay = [b.attack_plan.strategy for b in made(GRPO).bouts(a_request(pool=old_attacks(1))) if b.suite == "replay"]
    assert replay == [Strategy.RECORDED, Strategy.POLICY]


def test_bouts_go_to_the_panel_of_the_game_and_are_attacked_as_the_mixture_says() -> None:
    mix = [{**MIX[0], "attacks": "crescendo", "turns": 3, "parameters": {"backtrack": False}}]
    asked = a_request()
    bouts = made(GRPO, mix=mix).bouts(replace(asked, batch=replace(asked.batch, panel="strict")))
    assert {bout.panel for bout in bouts} == {"strict"}
    plans = [bout.attack_plan for bout in bouts]
    assert {(plan.strategy, plan.turns, plan.sampling) for plan in plans} == {("crescendo", 3, Sampling(16))}
    assert all(plan.parameters == {"backtrack": False} for plan in plans)


def test_a_category_without_seeds_is_named() -> None:
    strange = [{**MIX[0], "category": "strange"}]
    with pytest.raises(ValueError, match=r"'strange'.*submit some"):
        made(GRPO, mix=strange).bouts(a_request())


def test_a_game_waits_for_the_seeds_that_are_drawn() -> None:
    anchor = {"examples": 1, "mix": [{"category": "trap", "share": 1}]}
    assert GRPO.categories(made(GRPO).settings) == {"harmful", "ordinary"}
    assert GRPO.categories(made(GRPO, anchor=anchor).settings) == {"harmful", "ordinary", "trap"}


# Groups


def test_a_defender_has_a_group_for_each_attack() -> None:
    judged = a_judged_bout([(on_attack(), [LEAK, REFUSED]), (on_attack(), [OTHER, OTHER])])
    terms = made(GRPO).terms([judged], a_context())
    assert rewards_of(made(GRPO), judged) == [(-1.0, 1.0), (-1.0, -1.0)]
    assert [group.prompt.conversation.last_text for group in terms.terms[0].groups] == ["text 0", "text 1"]
    assert terms.dropped == {}
    assert terms.figures == {"reward_mean": -0.5}


def test_an_attacker_has_one_group_for_the_seed() -> None:
    exchanges = [(on_attack(), [LEAK]), (on_attack(), [REFUSED]), (on_attack(on_goal=Label.NO), [LEAK])]
    judged = a_judged_bout(exchanges, learner=Role.ATTACKER)
    assert rewards_of(made(GRPO, Role.ATTACKER), judged) == [(1.0, 0.0, -0.5)]
    (term,) = made(GRPO, Role.ATTACKER).terms([judged], a_context()).terms
    assert term.groups[0].prompt.conversation == judged.bout.seed.conversation


def test_samples_bear_what_an_objective_may_ask_for() -> None:
    (term,) = made(GRPO).terms([a_judged_bout([(on_attack(), [LEAK, REFUSED])])], a_context(lag_of=lambda _: 3)).terms
    (sample, _) = term.groups[0].samples
    assert (sample.token_ids, sample.behaviour_logprobs) == ((7, 2), (-1.0, -0.5))
    assert (sample.lag, sample.origin, sample.rewards) == (3, "attack", {"task": -1.0})


def test_undecided_samples_are_left_out() -> None:
    assert rewards_of(made(GRPO), a_judged_bout([(on_attack(), [LEAK, UNDECIDED, REFUSED])])) == [(-1.0, 1.0)]


def test_a_sample_alone_is_no_group_and_the_most_frequent_reason_says_why() -> None:
    judged = a_judged_bout([(on_attack(), [LEAK, UNDECIDED, UNDECIDED])])
    assert made(GRPO).terms([judged], a_context()).dropped == {"bout-1": UNSCOREABLE_RESPONSE}
    judged = a_judged_bout([(on_attack(), [LEAK])])
    assert made(GRPO).terms([judged], a_context()).dropped == {"bout-1": SINGLETON}


def test_attacks_off_goal_teach_the_defender_nothing() -> None:
    judged = a_judged_bout([(on_attack(on_goal=Label.NO), [LEAK, REFUSED])])
    assert made(GRPO).terms([judged], a_context()).dropped == {"bout-1": OFF_GOAL}


@pytest.mark.parametrize("role", Role)
def test_of_an_attack_that_is_kept_for_measuring_nobody_learns(role: Role) -> None:
    judged = a_judged_bout([(on_attack(), [LEAK, REFUSED])] * 3, learner=role)
    some = made(GRPO, role, is_reserved=lambda text: text == "text 0").groups([judged], a_context())
    assert sum(len(group.samples) for group in some.groups) == (2 if role is Role.ATTACKER else 4)
    assert some.dropped == {}
    every = made(GRPO, role, is_reserved=lambda _: True).groups([judged], a_context())
    assert (every.groups, every.dropped) == ([], {"bout-1": "reserved"})


def test_samples_of_several_versions_are_admitted_one_by_one() -> None:
    judged = a_judged_bout([(on_attack(), [LEAK, REFUSED, OTHER])], versions=[5, 1, 4])
    algorithm = made(GRPO, max_version_lag=2)
    terms = algorithm.terms([judged], a_context(lag_of={digest_of(5): 0, digest_of(1): 4, digest_of(4): 1}.get))
    assert [[sample.reward for sample in group.samples] for group in terms.terms[0].groups] == [[-1.0, -1.0]]
    assert terms.lags == [1]


def test_another_runs_sample_is_refused() -> None:
    """Two runs that use one slot may give the same version to different weights, never the same digest."""
    judged = a_judged_bout([(on_attack(), [LEAK, REFUSED])], versions=[99, 99])
    assert made(GRPO).terms([judged], a_context(lag_of={digest_of(1): 0}.get)).dropped == {"bout-1": admission.UNKNOWN_POLICY}


def test_attacks_that_no_policy_wrote_teach_the_attacker_nothing() -> None:
    exchanges = [(on_attack(), [LEAK]), (on_attack(), [REFUSED])]
    judged = a_judged_bout(exchanges, learner=Role.ATTACKER, strategy=Strategy.TRANSFORM)
    assert made(GRPO, Role.ATTACKER).terms([judged], a_context()).dropped == {"bout-1": admission.NOT_SAMPLED}


def test_evaluations_are_never_trained_on() -> None:
    judged = a_judged_bout([(on_attack(), [LEAK, REFUSED])], purpose=Purpose.EVALUATE, learner=None)
    assert made(GRPO).terms([judged], a_context()).dropped == {"bout-1": admission.NOT_FOR_TRAINING}


def test_a_step_that_was_skipped_drops_what_it_would_have_learned_from() -> None:
    judged = a_judged_bout([(on_attack(), [LEAK, REFUSED])])
    learned = made(GRPO).terms([judged], a_context())
    assert learned.without([judged], "non_finite_gradient").dropped == {"bout-1": "non_finite_gradient"}


# Settings


def test_rewards_can_be_set() -> None:
    algorithm = made(GRPO, rewards={"defender": {"harmful_leaked": -9}})
    assert rewards_of(algorithm, a_judged_bout([(on_attack(), [LEAK, REFUSED])])) == [(-9.0, 1.0)]


def test_rewards_of_who_does_not_learn_are_refused() -> None:
    with pytest.raises(SetupError, match=r"rewards\.attacker cannot act where the defender learns"):
        made(GRPO, rewards={"attacker": {"success": 2}})


# Anchors


def test_an_anchor_is_a_supervised_term_beside_the_game() -> None:
    seeds = [seed for seed in registry.load("arena").seeds() if seed.category == "ordinary"]
    anchor = {"examples": 6, "weight": 0.45, "mix": [{"category": "ordinary", "share": 1}]}
    algorithm = made(GRPO, anchor=anchor)
    game, beside = algorithm.terms([], a_context(ordinary=seeds)).terms
    assert (game.key, beside.key, beside.weight) == ("grpo", "anchor", 0.45)
    assert len(beside.groups) == 6
    assert all(sample.is_given and sample.text for group in beside.groups for sample in group.samples)
    again, other = (algorithm.terms([], a_context(step, ordinary=seeds)).terms[1] for step in (0, 1))
    assert again.groups == beside.groups
    assert other.groups != beside.groups


# The other algorithms that learn from groups


@pytest.mark.parametrize("kind", [RLOO, Groups])
def test_the_same_game_under_another_objective(kind: type) -> None:
    settings = {"objective": "rloo", "settings": {"kl_beta": 0.1}} if kind is Groups else {"objective": {"kl_beta": 0.1}}
    algorithm = made(kind, **settings)
    (term,) = algorithm.terms([a_judged_bout([(on_attack(), [LEAK, REFUSED])])], a_context()).terms
    assert term.key == "rloo"
    assert term.objective.needs.reference
    assert algorithm.bouts(a_request()) == made(GRPO).bouts(a_request())


def test_every_algorithm_of_ours_is_a_plug_in() -> None:
    assert {"grpo", "rloo", "dpo", "groups"} <= set(plugins.names(plugins.ALGORITHMS))
    assert {"grpo", "rloo", "dpo", "supervised"} <= set(plugins.names(plugins.OBJECTIVES))
    for group in (plugins.ALGORITHMS, plugins.OBJECTIVES):
        for name in plugins.names(group):
            assert plugins.load(group, name).Settings.model_config["extra"] == "forbid"
