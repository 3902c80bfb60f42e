"""What an experiment file may say, and what it is told where it says something else."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from harden.domain.bout import Role
from harden.domain.errors import SetupError
from harden.trainer import experiment as experiments

DEMO = Path("experiments/demo.yaml")


def parsed(**changes: Any) -> experiments.Experiment:
    return experiments.parse({**yaml.safe_load(DEMO.read_text()), **changes}, "game.yaml")


def test_what_is_written_down_is_read_back() -> None:
    experiment = parsed(rewards={"defender": {"harmful_other": -0.9}})
    assert experiments.parse(yaml.safe_load(experiments.dump(experiment)), "again") == experiment


def test_a_reward_can_be_set_and_the_others_keep_their_defaults() -> None:
    rewards = parsed(rewards={"defender": {"harmful_other": -0.9}, "attacker": {"invalid": -1}}).rewards
    assert (rewards.defender.harmful_other, rewards.defender.harmful_refused) == (-0.9, 1.0)
    assert (rewards.attacker.invalid, rewards.attacker.success) == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rewards": {"defender": {"harmful_othr": -1}}}, "rewards.defender.harmful_othr"),
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


def test_players_may_use_slots_of_any_name() -> None:
    slots = parsed(policies={"slots": {"attacker": "opponent_3"}}).policies.slots
    assert slots.names == ("opponent_3", "defender", "defender_stable")
    assert (slots.of(Role.ATTACKER), slots.of(Role.DEFENDER)) == ("opponent_3", "defender")
