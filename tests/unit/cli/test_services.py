"""What the services of a local ring are told."""

from pathlib import Path

import pytest

from harden.defender_inference.config import DefenderInferenceConfig, GuardSettings
from harden.domain.errors import SetupError
from harden.local import services
from harden.local.rundir import LocalRun
from harden.local.services import Addresses
from harden.worlds import registry
from tests.support.loop import an_experiment


def test_the_experiment_s_world_is_that_of_attacker_and_judge(tmp_path: Path) -> None:
    ports = dict.fromkeys(services.names({"attacker": 1, "defender_inference": 1, "judge": 2}), 0)
    commands = services.commands(LocalRun(tmp_path), "bazaar", None, ports, Addresses("localhost:9092", "localhost:8001"))
    worlds = {c.name: {n: v for n, v in c.environment.items() if n.endswith("__WORLD")} for c in commands}
    assert worlds["attacker"] == {"HARDEN_ATTACKER__WORLD": "bazaar"}
    assert worlds["judge-2"] == {"HARDEN_JUDGE__WORLD": "bazaar"}
    assert worlds["defender_inference"] == worlds["trainer"] == {}


def test_defender_inference_alone_is_told_of_the_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slots = {"defender": "pupil", "stable": "pupil_stable", "side": "aside"}
    guard = services.guard_of(an_experiment(guard=True, policies={"slots": slots}))
    assert guard == GuardSettings(world="arena", asks="pupil_stable", slots=("pupil", "aside"))
    ports = dict.fromkeys(services.names({"attacker": 1, "defender_inference": 2, "judge": 1}), 0)
    commands = services.commands(LocalRun(tmp_path), "arena", guard, ports, Addresses("localhost:9092", "localhost:8001"))
    told = {c.name: value for c in commands if (value := c.environment.get("HARDEN_DEFENDER_INFERENCE__GUARD"))}
    assert set(told) == {"defender_inference", "defender_inference-2"}
    monkeypatch.setenv("HARDEN_DEFENDER_INFERENCE__GUARD", told["defender_inference"])
    assert DefenderInferenceConfig().defender_inference.guard == guard


def test_an_experiment_has_no_guard_unless_it_asks_for_one_and_its_world_must_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert services.guard_of(an_experiment()) is None
    monkeypatch.setattr(registry.load("arena"), "guard", None)
    with pytest.raises(SetupError, match="the world 'arena' has no guard"):
        services.guard_of(an_experiment(guard=True))
