"""What an experiment file may say, and what it is told where it says something else."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from harden.domain.bout import Role
from harden.domain.errors import SetupError
from harden.trainer import experiment as experiments
from harden.trainer.algorithms.rloo import RLOOAlgorithmSettings

DEMO = Path("experiments/demo.yaml")


def parsed(**changes: Any) -> experiments.Experiment:
    return experiments.parse({**yaml.safe_load(DEMO.read_text()), **changes}, "game.yaml")


def changed(**grpo: Any) -> dict[str, Any]:
    """The demo's defender with other settings of its algorithm."""
    defender = yaml.safe_load(DEMO.read_text())["defender"]
    return {"defender": {**defender, "grpo": {**defender["grpo"], **grpo}}}


def test_what_is_written_down_is_read_back() -> None:
    experiment = parsed(**changed(rewards={"defender": {"harmful_other": -0.9}}))
    assert experiments.parse(yaml.safe_load(experiments.dump(experiment)), "again") == experiment


def test_a_reward_can_be_set_and_the_others_keep_their_defaults() -> None:
    rewards = parsed(**changed(rewards={"defender": {"harmful_other": -0.9}})).defender.settings.rewards
    assert (rewards.defender.harmful_other, rewards.defender.harmful_refused) == (-0.9, 1.0)


def test_settings_stand_under_the_algorithms_name() -> None:
    defender = {"steps": 2, "algorithm": "rloo", "rloo": yaml.safe_load(DEMO.read_text())["defender"]["grpo"]}
    experiment = parsed(defender=defender)
    assert isinstance(experiment.defender.settings, RLOOAlgorithmSettings)
    assert experiments.parse(yaml.safe_load(experiments.dump(experiment)), "again") == experiment


def test_a_side_run_that_is_not_played_needs_no_settings() -> None:
    without = {key: value for key, value in yaml.safe_load(DEMO.read_text()).items() if key != "side_run"}
    for data in (without, {**without, "side_run": None}):
        experiment = experiments.parse(data, "game.yaml")
        assert experiment.lengths.side_run_steps == 0
        assert experiments.parse(yaml.safe_load(experiments.dump(experiment)), "again") == experiment


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (changed(rewards={"defender": {"harmful_othr": -1}}), "defender.grpo.rewards.defender.harmful_othr"),
        (changed(objective={"clip_lo": 0.1}), "defender.grpo.objective.clip_lo"),
        (changed(mix=[{"name": "a", "category": "b", "attacks": "direct"}]), "defender.grpo.mix.0.share"),
        ({"defender": {"steps": 1, "algorithm": "grpo", "rloo": {}}}, "defender.rloo"),
        ({"defender": {"steps": 1, "algorithm": "ppo"}}, "defender.algorithm"),
        ({"side_run": {"steps": 3}}, "side_run.grpo.bouts_per_step"),
        ({"evaluation": {"rows": 0}}, "evaluation.rows"),
        ({"schedule": {"round": 2}}, "schedule.round"),
        ({"seed": -1}, "seed"),
        ({"policies": {"slots": {"attacker": "../up"}}}, "policies.slots.attacker"),
        ({"policies": {"slots": {"attacker": "defender"}}}, "policies.slots"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SetupError, match=rf"game\.yaml: {named}:"):
        parsed(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"monitor_arm": None}, r"game\.yaml: monitor_arm: this key is now called side_run"),
        ({"monitor": {"max_refusal_ordinary": 0.1}}, r"monitor\.max_refusal_ordinary: this key is now called max_over_refusal"),
        (
            {"monitor": {"min_accuracy_ordinary": 0.1}},
            r"monitor\.min_accuracy_ordinary: this key is now called min_benign_accuracy",
        ),
    ],
)
def test_an_old_key_names_the_new_one(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SetupError, match=message):
        parsed(**changes)


def test_players_may_use_slots_of_any_name() -> None:
    slots = parsed(policies={"slots": {"attacker": "opponent_3"}}).policies.slots
    assert slots.names == ("opponent_3", "defender", "defender_stable", "side")
    assert (slots.of(Role.ATTACKER), slots.of(Role.DEFENDER)) == ("opponent_3", "defender")


def test_a_guard_is_asked_only_where_the_file_says_so_and_a_run_keeps_it() -> None:
    before, now = parsed(), parsed(guard=True)
    assert (before.guard, now.guard) == (False, True)
    with pytest.raises(SetupError, match="guard was False and is True"):
        experiments.refuse_changed(before.model_dump(mode="json"), now.model_dump(mode="json"))
    with pytest.raises(SetupError, match=r"game\.yaml: guard:"):
        parsed(guard="stable")


def test_a_run_goes_on_with_more_rounds_and_other_timeouts() -> None:
    before = experiments.load(DEMO).model_dump(mode="json")
    now = copy.deepcopy(before)
    now["schedule"] |= {"rounds": 9, "bout_timeout_s": 5.0}
    experiments.refuse_changed(before, now)


def test_a_run_goes_on_where_a_key_is_new_and_left_at_its_default() -> None:
    now = experiments.load(DEMO).model_dump(mode="json")
    before = copy.deepcopy(now)
    del before["guard"]
    experiments.refuse_changed(before, now)
    with pytest.raises(SetupError, match="guard was False and is True"):
        experiments.refuse_changed(before, now | {"guard": True})


def test_a_run_does_not_go_on_with_another_recipe_and_says_what_changed() -> None:
    before = experiments.load(DEMO).model_dump(mode="json")
    now = copy.deepcopy(before)
    now["seed"] = 7
    now["defender"]["learner"]["learning_rate"] = 0.5
    with pytest.raises(SetupError, match=r"defender\.learner\.learning_rate was 0.00015 and is 0.5; seed was 0 and is 7"):
        experiments.refuse_changed(before, now)


def test_adapters_are_published_as_adapters_unless_asked_otherwise() -> None:
    attacker = yaml.safe_load(DEMO.read_text())["attacker"]
    for given, publish in (({}, "adapter"), ({"publish": "full"}, "full")):
        lora = parsed(attacker={**attacker, "learner": {"lora": given}}).attacker.learner.lora
        assert lora is not None
        assert lora.publish == publish
    with pytest.raises(SetupError, match=r"attacker\.learner\.lora\.publish"):
        parsed(attacker={**attacker, "learner": {"lora": {"publish": "merged"}}})


def test_a_schedule_that_is_not_installed_is_refused_by_name() -> None:
    content = experiments.load(DEMO).model_dump(mode="json")
    content["schedule"]["name"] = "simultaneous"
    with pytest.raises(SetupError, match="there is no schedule 'simultaneous'; installed are alternate, continuous"):
        experiments.parse(content, "the test's experiment")
