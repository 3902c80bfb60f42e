"""What the services of a local ring are told."""

from pathlib import Path

from harden.local import services
from harden.local.rundir import LocalRun
from harden.local.services import Addresses


def test_the_experiment_s_world_is_that_of_attacker_and_judge(tmp_path: Path) -> None:
    ports = dict.fromkeys(services.names({"attacker": 1, "defender_inference": 1, "judge": 2}), 0)
    commands = services.commands(LocalRun(tmp_path), "bazaar", ports, Addresses("localhost:9092", "localhost:8001"))
    worlds = {c.name: {n: v for n, v in c.environment.items() if n.endswith("__WORLD")} for c in commands}
    assert worlds["attacker"] == {"HARDEN_ATTACKER__WORLD": "bazaar"}
    assert worlds["judge-2"] == {"HARDEN_JUDGE__WORLD": "bazaar"}
    assert worlds["defender_inference"] == worlds["trainer"] == {}
