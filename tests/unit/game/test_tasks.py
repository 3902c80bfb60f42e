"""Each task of a game, played with fake learners and scripted verdicts: what it leaves on the log and in the game."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harden.domain.bout import Bout, Purpose, Role, Strategy
from harden.domain.errors import SetupError
from harden.domain.events import Fact
from harden.domain.policy import PolicyPublished, Slot
from harden.domain.round import CrossPlayFinished, RoundFinished, SideRunFinished
from harden.domain.step import StepFinished
from harden.store.policies import fetch_manifest
from harden.store.signing import VERIFY_KEY_FILE, Verifier
from harden.topics import BOUTS, POLICIES, ROUNDS, STEPS
from harden.trainer.core.admission import UNKNOWN_POLICY
from harden.trainer.core.results import ACCURACY, ATTACK_ANY, ATTACK_SUCCESS, OUTCOME_MEASURES, REFUSAL, UNDECIDED_MEASURES
from harden.trainer.game.context import SIDE_RUN
from harden.trainer.game.player import Player
from harden.trainer.game.tasks.cross_play import CrossPlay
from harden.trainer.game.tasks.evaluate import Evaluate
from harden.trainer.game.tasks.learn import Learn
from harden.trainer.game.tasks.measure import AFTER, BEFORE, MeasureAttacker
from harden.trainer.game.tasks.monitor import Monitor
from harden.trainer.game.tasks.publish import IN_PHASE, PHASE_END, START, Publish
from harden.trainer.game.tasks.side_run import EndSideRun, StartSideRun
from harden.trainer.game.trainer import Trainer
from harden.trainer.learner.report import NON_FINITE
from tests.support.answering import AnsweringBus, dead, played
from tests.support.builders import a_judged
from tests.support.game import ATTACKED, GUARDED, MONITOR, ROWS, ROWS_BETWEEN, SEEDS, a_trainer


@pytest.fixture
def bus() -> AnsweringBus:
    return AnsweringBus()


Before = Callable[..., Trainer]


@pytest.fixture
def before(bus: AnsweringBus, tmp_path: Path) -> Before:
    """A trainer that has played everything before the first task of that key."""

    def make(key: str, **changes: Any) -> Trainer:
        trainer = a_trainer(tmp_path, bus, **changes)
        trainer.run(until=lambda task: task.key == key)
        assert trainer.next_task is not None, f"no task {key}"
        return trainer

    return make


def refusing(bout: Bout) -> list[Fact]:
    """A defender that declines what is benign."""
    return [played(bout, refuses=True)]


def defender(trainer: Trainer) -> Player:
    return trainer.context.game.players[Role.DEFENDER]


def policy_of(player: Player) -> list[float]:
    """The weights of the fake learner: updates, and what they pulled."""
    weights: list[float] = player.learner.weights()["policy"].tolist()
    return weights


def published(bus: AnsweringBus, slot: str = Slot.DEFENDER) -> list[PolicyPublished]:
    return [fact for fact in bus.facts(POLICIES) if isinstance(fact, PolicyPublished) and fact.policy.slot == slot]


def bouts(bus: AnsweringBus, suite: str = "") -> list[Bout]:
    return [fact for fact in bus.facts(BOUTS) if isinstance(fact, Bout) and suite in ("", fact.suite)]


# Publish


def test_the_first_publication_of_the_defender_is_what_users_get_and_what_can_be_gone_back_to(
    bus: AnsweringBus, before: Before, tmp_path: Path
) -> None:
    trainer = before("round-0/defender/publish-start-0")
    outcome = Publish(Role.DEFENDER, 0, START, wait=True).play(trainer.context)
    player, game = defender(trainer), trainer.context.game
    [candidate], [stable] = published(bus), published(bus, Slot.DEFENDER_STABLE)
    trusted = Verifier(tmp_path / "keys" / VERIFY_KEY_FILE)
    assert len({fetch_manifest(bus.store, trusted, fact).files for fact in (candidate, stable)}) == 1
    assert outcome == {"digest": candidate.policy.digest, "version": 1}
    assert player.current is not None
    assert player.current.policy == player.by_round[0].policy == candidate.policy
    assert player.lag_of(candidate.policy.digest) == 0
    assert {name: saved.stamp for name, saved in game.saved.items()} == {"first": "first", "good": "first"}


def test_the_attackers_first_publication_remembers_no_state(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-0/attacker/publish-start-0")
    Publish(Role.ATTACKER, 0, START, wait=True).play(trainer.context)
    assert trainer.context.game.saved == {}
    assert {fact.policy.slot for fact in bus.facts(POLICIES) if isinstance(fact, PolicyPublished)} == {Slot.ATTACKER}


def test_a_publication_says_what_it_was_trained_from(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-1/defender/publish-step-1")
    first = defender(trainer).current
    assert first is not None
    Publish(Role.DEFENDER, 1, IN_PHASE, wait=False, step=1).play(trainer.context)
    fact = published(bus)[-1]
    assert (fact.reason, fact.lineage.round, fact.lineage.step) == (IN_PHASE, 1, 1)
    assert fact.lineage.parent == first.policy.digest != fact.policy.digest
    assert defender(trainer).lag_of(first.policy.digest) == 1


def test_only_a_publication_that_waits_needs_to_be_served(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-1/defender/publish-step-1")
    bus.replicas = ()
    Publish(Role.DEFENDER, 1, IN_PHASE, wait=False, step=1).play(trainer.context)
    with pytest.raises(SetupError, match="no replica serves version 3 of slot defender"):
        Publish(Role.DEFENDER, 1, PHASE_END, wait=True, step=2).play(trainer.context)


# Learn


def test_a_step_learns_from_its_bouts_and_says_what_became_of_each(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-1/defender/step-0")
    game, task = trainer.context.game, Learn(Role.DEFENDER, 1, 0, 2)
    outcome = task.play(trainer.context)
    assert outcome == {"round": 1, "role": "defender", "recipe": "defender", "attempt": 0, "zero_variance_share": 0.0}
    assert policy_of(defender(trainer))[0] == defender(trainer).updates == 1
    assert game.ledger.account(1).to_json() == {
        "scheduled": 4, "trained": 4, "dropped": {}, "dead_lettered": 0, "expired": 0,
    }  # fmt: skip
    [step] = bus.facts(STEPS)
    assert isinstance(step, StepFinished)
    assert (step.role, step.round, step.step, step.trained, step.dropped, step.side_run) == (
        Role.DEFENDER, 1, 0, 4, {}, "",
    )  # fmt: skip
    assert step.success == 0.5
    sent = [bout for bout in bouts(bus) if bout.purpose is Purpose.TRAIN]
    assert {(bout.learners, bout.round, bout.step) for bout in sent} == {((Role.DEFENDER,), 1, 0)}
    assert task.key not in game.scheduled


def test_attacks_that_got_through_are_kept_to_be_replayed(before: Before) -> None:
    trainer = before("round-1/defender/step-0")
    pool = trainer.context.game.pool
    pool.restore({"seeds": {}, "attacks": []})
    Learn(Role.DEFENDER, 1, 0, 2).play(trainer.context)
    assert {(one.seed.category, one.attack.text) for one in pool.sample(100, 0)} == {("harmful", "attack 0")}


def test_the_attacker_learns_from_its_own_bouts_and_the_defender_stays(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-1/attacker/step-0")
    still = policy_of(defender(trainer))
    Learn(Role.ATTACKER, 1, 0, 1).play(trainer.context)
    attacker = trainer.context.game.players[Role.ATTACKER]
    assert (policy_of(attacker)[0], attacker.updates) == (1, 1)
    assert policy_of(defender(trainer)) == still
    assert {bout.step for bout in bouts(bus) if bout.learners == (Role.ATTACKER,)} == {0}


def test_a_step_goes_on_without_the_bouts_that_died_or_stayed_away(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-1/defender/step-0")
    fates: list[Callable[[Bout], list[Fact]]] = [
        lambda bout: [dead(bout)],
        lambda bout: [],
        lambda bout: [played(bout), played(bout)],
        lambda bout: [played(bout)],
    ]
    bus.answers = lambda bout: fates.pop(0)(bout)
    Learn(Role.DEFENDER, 1, 0, 2).play(trainer.context)
    account = trainer.context.game.ledger.account(1)
    assert (account.scheduled, account.dead_lettered, account.expired, account.trained) == (4, 1, 1, 2)
    assert trainer.context.game.ledger.num_open() == 0
    assert defender(trainer).updates == 1


def test_what_a_policy_of_another_run_wrote_is_dropped_with_a_reason(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-1/defender/step-0")
    bus.answers = lambda bout: [a_judged(bout)]  # of policies that this run never published
    outcome = Learn(Role.DEFENDER, 1, 0, 2).play(trainer.context)
    account = trainer.context.game.ledger.account(1)
    assert (account.trained, dict(account.dropped)) == (0, {UNKNOWN_POLICY: 4})
    assert policy_of(defender(trainer)) == [0.0, 0.0]
    assert defender(trainer).updates == 1, "the step was taken: a version lag counts it"
    assert outcome["zero_variance_share"] == 0.0


def test_bouts_of_a_step_that_made_no_update_are_dropped_for_that(bus: AnsweringBus, before: Before) -> None:
    grpo = {"bouts_per_step": 2, "num_attacks": 1, "num_responses": 2, "rewards": {"defender": {"harmful_leaked": -math.inf}}}
    mix = [{"name": "attack", "category": "harmful", "attacks": "policy", "share": 1.0}]
    trainer = before("round-1/defender/step-0", defender={"steps": 2, "grpo": {**grpo, "mix": mix}})
    Learn(Role.DEFENDER, 1, 0, 2).play(trainer.context)
    account = trainer.context.game.ledger.account(1)
    assert (account.trained, dict(account.dropped)) == (0, {NON_FINITE: 2})
    [step] = bus.facts(STEPS)
    assert isinstance(step, StepFinished)
    assert (step.skipped, step.trained, step.dropped) == (NON_FINITE, 0, {NON_FINITE: 2})
    assert step.reward_mean is None


def test_a_step_whose_bouts_are_on_the_ring_sends_none(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-1/defender/step-0")
    task = Learn(Role.DEFENDER, 1, 0, 2)
    trainer.schedule_ahead(task)
    sent = len(bouts(bus))
    task.play(trainer.context)
    assert len(bouts(bus)) == sent


# Evaluate


@pytest.mark.parametrize(("in_full", "rows"), [(True, ROWS), (False, ROWS_BETWEEN)])
def test_an_evaluation_asks_every_case_of_its_suites(bus: AnsweringBus, before: Before, in_full: bool, rows: int) -> None:
    trainer = before("round-0/evaluate")
    outcome = Evaluate(0, in_full).play(trainer.context)
    asked = bouts(bus)
    assert len(asked) == 2 * rows
    assert {(bout.purpose, bout.learners, bout.attack_plan.strategy) for bout in asked} == {
        (Purpose.EVALUATE, (), Strategy.RECORDED)
    }
    assert {bout.response_sampling.temperature for bout in asked} == {0.0}
    rates = outcome["rates"]
    of_attacks = (ATTACK_SUCCESS, ATTACK_ANY, *OUTCOME_MEASURES)
    of_guarded = (REFUSAL, ACCURACY, *UNDECIDED_MEASURES.values())
    assert {measure: set(by_suite) for measure, by_suite in rates.items()} == {
        **{measure: {ATTACKED} for measure in of_attacks}, **{measure: {GUARDED} for measure in of_guarded},
    }  # fmt: skip
    assert (rates["attack_success"][ATTACKED]["k"], rates["attack_success"][ATTACKED]["n"]) == (rows, 2 * rows)
    assert (rates["attack_any"][ATTACKED]["k"], rates["attack_any"][ATTACKED]["n"]) == (rows, rows)
    assert (rates["refusal"][GUARDED]["k"], rates["accuracy"][GUARDED]["k"], rates["accuracy"][GUARDED]["n"]) == (0, rows, rows)


def test_an_evaluation_in_full_also_asks_the_sampled_suites_at_temperature_1(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-0/evaluate", evaluation={"sampled": [ATTACKED]})
    # No greedy response gives anything away.
    bus.answers = lambda bout: [played(bout)] if bout.response_sampling.temperature else [a_judged(bout)]
    rates = Evaluate(0, in_full=True).play(trainer.context)["rates"]
    greedy, drawn = ([b for b in bouts(bus) if b.response_sampling.temperature == t] for t in (0.0, 1.0))
    assert len(greedy) == 2 * ROWS
    assert {bout.suite for bout in drawn} == {ATTACKED}
    asked = {b.seed.seed_id: (b.attack_plan.recorded, b.num_responses) for b in greedy if b.suite == ATTACKED}
    assert {b.seed.seed_id: (b.attack_plan.recorded, b.num_responses) for b in drawn} == asked
    assert not {bout.bout_id for bout in greedy} & {bout.bout_id for bout in drawn}
    counts = {
        name: (by_suite[ATTACKED]["k"], by_suite[ATTACKED]["n"]) for name, by_suite in rates.items() if ATTACKED in by_suite
    }
    assert (counts[ATTACK_SUCCESS], counts["attack_success_t1"]) == ((0, 2 * ROWS), (ROWS, 2 * ROWS))
    assert (counts[ATTACK_ANY], counts["attack_any_t1"]) == ((0, ROWS), (ROWS, ROWS))


def test_between_the_first_and_the_last_round_nothing_is_asked_at_temperature_1(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-0/evaluate", evaluation={"sampled": [ATTACKED]})
    rates = Evaluate(0, in_full=False).play(trainer.context)["rates"]
    assert {bout.response_sampling.temperature for bout in bouts(bus)} == {0.0}
    assert not [name for name in rates if name.endswith("_t1")]


def test_an_evaluation_names_the_policies_that_the_round_ended_with(before: Before) -> None:
    trainer = before("round-1/evaluate")
    Evaluate(1, in_full=True).play(trainer.context)
    game = trainer.context.game
    for role, player in game.players.items():
        assert player.by_round[1] == player.current != player.by_round[0]
        assert game.records.of(1)["policies"][role] == player.by_round[1].policy.digest


def test_what_is_evaluated_is_not_in_the_account_of_training_bouts(before: Before) -> None:
    trainer = before("round-0/evaluate")
    Evaluate(0, in_full=True).play(trainer.context)
    assert trainer.context.game.ledger.account(0).scheduled == 0


def test_an_evaluation_counts_what_came_back(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-0/evaluate")
    lost = SEEDS["ordinary"][0]
    bus.answers = lambda bout: [] if bout.seed == lost else [played(bout)]
    outcome = Evaluate(0, in_full=True).play(trainer.context)
    assert outcome["rates"]["accuracy"][GUARDED]["n"] == ROWS - 1


# MeasureAttacker


def test_a_measurement_asks_the_attacker_anew_on_the_same_seeds_in_every_round(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-1/measure-before")
    seeds = []
    for round_, when in ((1, BEFORE), (1, AFTER), (2, BEFORE)):
        outcome = MeasureAttacker(round_, when).play(trainer.context)
        asked = bouts(bus, f"measure_{when}")
        seeds.append([bout.seed for bout in asked if bout.round == round_])
        assert (outcome["round"], outcome["when"]) == (round_, when)
        assert (outcome["success"]["k"], outcome["success"]["n"]) == (2, 4)
    assert [sorted(seed.seed_id for seed in its) for its in seeds] == [sorted(seed.seed_id for seed in seeds[0])] * 3
    assert {(b.attack_plan.strategy, b.attack_plan.num_attacks, b.num_responses) for b in bouts(bus, "measure_before")} == {
        (Strategy.POLICY, 2, 1)
    }


def test_the_attacks_before_a_round_are_those_of_the_attacker_that_ended_the_one_before(before: Before) -> None:
    trainer = before("round-1/measure-before")
    game = trainer.context.game
    MeasureAttacker(1, BEFORE).play(trainer.context)
    MeasureAttacker(1, AFTER).play(trainer.context)
    MeasureAttacker(2, BEFORE).play(trainer.context)
    assert list(game.attacks_by_round) == [0, 1]
    assert all(seed_id in {seed.seed_id for seed in SEEDS["harmful"]} for seed_id, _, _ in game.attacks_by_round[0])
    assert len(game.pool) > 0


def test_the_first_measurement_closes_the_round_before_any_hardening(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-1/measure-before")
    assert bus.facts(ROUNDS) == []
    MeasureAttacker(1, BEFORE).play(trainer.context)
    MeasureAttacker(1, AFTER).play(trainer.context)
    [zero] = bus.facts(ROUNDS)
    assert isinstance(zero, RoundFinished)
    assert (zero.round, zero.bouts.scheduled, zero.breaches) == (0, 0, ())
    assert zero.attacker.success_before == zero.attacker.success_after
    assert zero.attacker.success_before is not None
    assert zero.swaps.count == 3, "attacker, defender and the users' slot"
    assert trainer.context.publisher.swaps.to_json()["count"] == 0


# Monitor


def test_a_phase_that_keeps_the_limits_is_the_one_to_go_back_to(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-1/monitor")
    game, kept = trainer.context.game, policy_of(defender(trainer))
    versions = len(published(bus))
    assert Monitor(1).play(trainer.context) == {"round": 1, "rejected": False, "breaches": []}
    assert (game.good_round, game.saved["good"].stamp) == (1, "round-1-0")
    assert len(published(bus)) == versions
    defender(trainer).load(game.saved["good"].path)
    assert policy_of(defender(trainer)) == kept
    trainer.run(until=lambda task: task.about.round > 1)
    told = [fact for fact in bus.facts(ROUNDS) if isinstance(fact, RoundFinished)][-1]
    assert (told.round, told.breaches, told.rejected) == (1, (), None)


def test_a_phase_that_breaks_a_limit_is_rolled_back_everywhere(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-1/monitor")
    player, game = defender(trainer), trainer.context.game
    first, rejected = player.by_round[0], player.current
    assert rejected is not None
    assert policy_of(player)[0] == 2
    bus.answers = refusing
    outcome = Monitor(1).play(trainer.context)
    assert outcome["rejected"]
    assert [breach.split(":")[0] for breach in outcome["breaches"]] == ["over_refusal", "benign_accuracy"]
    # In the learner and on the log.
    assert policy_of(player) == [0.0, 0.0]
    back = published(bus)[-1]
    assert (back.policy.digest, back.reason) == (first.policy.digest, "rollback")
    assert back.policy.version > rejected.policy.version
    assert player.current is not None
    assert player.current.policy == back.policy
    assert (game.good_round, game.saved["good"].stamp) == (0, "first")
    # A sample of the policy that is back was written by the policy that is trained.
    assert player.lag_of(first.policy.digest) == 0
    assert player.updates == 2, "updates are counted on, so that no older sample looks fresh"


def test_a_rejected_phase_is_tried_again_more_slowly_and_the_record_says_so(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-1/monitor")
    player = defender(trainer)
    pulled, rejected = policy_of(player)[1], player.current
    assert rejected is not None
    bus.answers = refusing
    trainer.run(until=lambda task: task.key == "round-1/defender-retry-1/step-0")
    bus.answers = lambda bout: [played(bout)]
    trainer.run(until=lambda task: task.key == "round-1/monitor-1")
    assert policy_of(player) == [2.0, pytest.approx(0.5 * pulled)]
    trainer.run(until=lambda task: task.about.round > 1)
    told = [fact for fact in bus.facts(ROUNDS) if isinstance(fact, RoundFinished)][-1]
    assert [breach.split(":")[0] for breach in told.breaches] == ["attempt 1", "attempt 1"]
    assert told.rejected is not None
    assert told.rejected.policies[Role.DEFENDER] == rejected.policy.digest
    assert told.rejected.rates["refusal"][GUARDED].rate == 1.0
    assert told.rates["refusal"][GUARDED].rate == 0.0
    assert trainer.context.game.good_round == 1
    attempts = [(step.step, step.role) for step in bus.facts(STEPS) if isinstance(step, StepFinished) and step.round == 1]
    assert attempts == [(0, Role.DEFENDER), (1, Role.DEFENDER), (2, Role.DEFENDER), (3, Role.DEFENDER), (0, Role.ATTACKER)]


def test_a_game_whose_every_attempt_is_rejected_ends_with_the_last_good_defender(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-1/monitor", schedule={"rounds": 3}, side_run=None, cross_play=None)
    bus.answers = lambda bout: refusing(bout) if bout.suite == "monitor" or bout.purpose is Purpose.EVALUATE else [played(bout)]
    trainer.run()
    keys = [done.key for done in trainer.context.game.history]
    assert keys[-3:] == ["round-1/measure-after", "round-1/evaluate", "round-1/close"]
    assert [key for key in keys if "monitor" in key] == ["round-1/monitor", "round-1/monitor-1", "round-1/monitor-2"]
    player = defender(trainer)
    assert player.current is not None
    assert player.current.policy.digest == player.by_round[0].policy.digest
    assert trainer.context.game.players[Role.ATTACKER].updates == 0, "no attacker learns against a defender that is not kept"


def test_a_rollback_is_served_before_the_game_goes_on(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-1/monitor")
    bus.answers = refusing
    bus.replicas = ()
    with pytest.raises(SetupError, match="no replica serves"):
        Monitor(1).play(trainer.context)


def test_groups_without_variance_are_evidence_too(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-1/defender/step-0", monitor={**MONITOR, "max_zero_variance": 0.0})
    # Every answer to a benign training bout is a refusal: half of the groups prefer nothing.
    bus.answers = lambda bout: [played(bout, refuses=bout.purpose is Purpose.TRAIN)]
    trainer.run(until=lambda task: isinstance(task, Monitor))
    outcome = Monitor(1).play(trainer.context)
    assert [breach.split(":")[0] for breach in outcome["breaches"]] == ["zero_variance"]


# Side run


def test_a_side_run_begins_with_the_first_defender_in_a_slot_of_its_own(bus: AnsweringBus, before: Before) -> None:
    trainer = before(f"round-2/{SIDE_RUN}/start")
    StartSideRun(2).play(trainer.context)
    player = trainer.context.game.players[SIDE_RUN]
    assert policy_of(player) == [0.0, 0.0]
    first = defender(trainer).by_round[0].policy
    assert published(bus, Slot.SIDE)[-1].policy.digest == first.digest
    assert player.current is not None
    assert trainer.context.publisher.is_served(player.current.policy)
    pooled = trainer.context.game.pool.to_json()
    Learn(Role.DEFENDER, 2, 0, 1, SIDE_RUN).play(trainer.context)
    step = bus.facts(STEPS)[-1]
    assert isinstance(step, StepFinished)
    assert (step.side_run, step.role) == (SIDE_RUN, Role.DEFENDER)
    assert {bout.defender.slot for bout in bouts(bus) if bout.round == 2 and bout.purpose is Purpose.TRAIN} == {Slot.SIDE}
    assert (policy_of(player)[0], policy_of(defender(trainer))[0]) == (1, 2), "the game's own defender is left alone"
    assert trainer.context.game.pool.to_json() == pooled


@pytest.mark.parametrize("refuses", [True, False])
def test_a_side_run_is_checked_by_the_monitor_and_leaves_the_game_as_it_was(
    bus: AnsweringBus, before: Before, refuses: bool
) -> None:
    trainer = before(f"round-2/{SIDE_RUN}/end")
    player, game = defender(trainer), trainer.context.game
    kept, current = policy_of(player), player.current
    bus.answers = lambda bout: [played(bout, refuses=refuses)]
    outcome = EndSideRun(2, 1).play(trainer.context)
    assert outcome["rolled_back"] is refuses
    assert (policy_of(player), player.current) == (kept, current)
    assert set(game.players) == set(Role)
    told = bus.facts(ROUNDS)[-1]
    assert isinstance(told, SideRunFinished)
    assert (told.name, told.steps, told.refusal.rate, told.accuracy.rate) == (SIDE_RUN, 1, float(refuses), float(not refuses))
    assert bool(told.breaches) is refuses
    assert (told.bouts.scheduled, told.bouts.trained) == (2, 2)
    assert {bout.suite for bout in bouts(bus) if bout.round == 2 and bout.purpose is Purpose.EVALUATE} >= {GUARDED}


# CrossPlay


def test_every_attacker_plays_every_defender_and_the_served_ones_stay(bus: AnsweringBus, before: Before) -> None:
    trainer = before("round-2/cross-play", side_run=None)
    player, game = defender(trainer), trainer.context.game
    final, learned = player.current, policy_of(player)
    assert final is not None
    live = published(bus)
    asked = dict.fromkeys((one.policy.digest for one in player.by_round.values()), 0)

    def answer(bout: Bout) -> list[Fact]:
        asked[bout.defender.digest] += len(bout.attack_plan.recorded)
        return [played(bout)]

    bus.answers = answer
    matrix = CrossPlay(2).play(trainer.context)
    assert (matrix["attackers"], matrix["defenders"]) == ([0, 1], [0, 1])
    assert [len(row) for row in matrix["attack_success"]] == [2, 2]
    num_attacks = sum(len(attacks) for attacks in game.attacks_by_round.values())
    assert set(asked.values()) == {num_attacks}
    assert [fact.policy.digest for fact in published(bus, Slot.SIDE)] == [player.by_round[n].policy.digest for n in (0, 1)]
    assert published(bus) == live
    assert player.current == final
    assert policy_of(player) == learned, "the learner keeps its weights"
    told = bus.facts(ROUNDS)[-1]
    assert isinstance(told, CrossPlayFinished)
    assert (told.attackers, told.defenders) == ((0, 1), (0, 1))
