import json
from pathlib import Path
from typing import Any

from harden.cli.reporting.gather import as_json
from harden.cli.reporting.timings import apart
from tests.unit.cli.builders import a_report, a_round

STEP = {"role": "defender", "step": 0, "reward_mean": 0.5, "seconds": 0.25}


def made(root: Path, command: str, seconds: float) -> Any:
    supervisor = {"seed": 7, "seconds": {"play": seconds}, "made_by": {"command": command, "machine": "two cores"}}
    one = a_round(1, steps=[{**STEP, "seconds": seconds}], evaluation_seconds=seconds)
    one["swaps"] = {**one["swaps"], "publish_to_served_ms": {"p50": seconds, "max": seconds}}
    return a_report(root, [a_round(0), one], supervisor)


def test_reports_that_differ_in_times_and_command_alone_are_equal_without_them(tmp_path: Path) -> None:
    one, other = made(tmp_path / "1", "harden run", 1.5), made(tmp_path / "2", "harden run --resume", 2.5)
    assert as_json(one) != as_json(other)
    assert apart(one)[0] == apart(other)[0]


def test_what_is_taken_out_is_null_there_and_stands_in_the_timings(tmp_path: Path) -> None:
    content, timings = apart(made(tmp_path / "1", "harden run", 1.5))
    assert content["seconds"] is None
    assert content["made_by"] == {"machine": "two cores"}
    assert content["rounds"][1]["steps"][0]["seconds"] is None
    assert content["rounds"][1]["steps"][0]["reward_mean"] == 0.5
    assert content["rounds"][1]["swaps"]["publish_to_served_ms"] == {"p50": None, "max": None}
    assert content["rounds"][1]["swaps"]["requests"] == 640
    assert timings["command"] == "harden run"
    assert timings["seconds"]["play"] == 1.5
    assert timings["rounds"][1]["steps"] == [{"role": "defender", "step": 0, "seconds": 1.5}]
    assert timings["rounds"][1]["evaluation_seconds"] == 1.5
    json.dumps(timings)
