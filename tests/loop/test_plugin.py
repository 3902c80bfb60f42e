"""A distribution of its own, once installed, plays with one plug-in of each kind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harden import codec, plugins
from harden.bus.memory import MemoryBus
from harden.cli.main import run
from harden.domain.errors import SetupError
from harden.domain.verdict import JudgedBout
from harden.judge.config import JudgeSettings
from harden.topics import VERDICTS
from harden.trainer import experiment as experiments
from harden.trainer.core.history import Finished
from harden.trainer.core.lengths import Lengths
from tests.support.environments import ROOT, find_uv
from tests.support.loop import EXPERIMENT, a_loop

PLUGIN = ROOT / "tests" / "plugin"
GAME = yaml.safe_load((PLUGIN / "bazaar.yaml").read_text(encoding="utf-8"))
BROUGHT = {
    plugins.WORLDS: "bazaar",
    plugins.STRATEGIES: "politely",
    plugins.JUDGES: "bazaar_guard",
    plugins.ALGORITHMS: "extremes",
    plugins.OBJECTIVES: "mean_baseline",
    plugins.SCHEDULES: "until_rollback",
}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the distribution is installed into, built from its pyproject.toml."""
    folder = tmp_path_factory.mktemp("installed")
    command = [find_uv(), "pip", "install", "--quiet", "--python", sys.executable, "--target", folder]
    options = ["--no-deps", "--no-build-isolation", "--offline", "--no-cache"]
    done = subprocess.run([*command, *options, PLUGIN], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def installed(target: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(target))
    return target


def test_it_brings_one_of_each_kind(installed: Path) -> None:
    for group, name in BROUGHT.items():
        assert name in plugins.names(group)
        assert Path(sys.modules[plugins.load(group, name).__module__].__file__ or "").is_relative_to(installed)


@pytest.mark.usefixtures("installed")
def test_two_rounds_are_played_in_its_world_with_its_attacks_judge_algorithm_and_objective(tmp_path: Path) -> None:
    bus = MemoryBus()
    bus.create_topics()
    with a_loop(bus, tmp_path, **GAME) as loop:
        loop.trainer().run()
        loop.assert_healthy()
    for number in (1, 2):
        sums = json.loads((loop.run_dir / f"rounds/{number}.json").read_text())["bouts"]
        assert sums["scheduled"] > 0
        assert sums["dead_lettered"] == sums["expired"] == 0
    assert sums["trained"] > 0
    judged = [codec.from_message(VERDICTS, m).fact for m in _everything(bus)]
    polite = [j for j in judged if isinstance(j, JudgedBout) and j.bout.suite == "polite"]
    assert polite
    for bout in polite:
        assert [turn.attack_verdicts[0].score("politeness") for turn in bout.turns()] == [0.5, 1.0]
        assert bout.sampled.attacked.attacks[0].text.startswith("please please ")


@pytest.mark.usefixtures("installed")
def test_its_schedule_ends_after_a_round_that_was_rolled_back_and_not_before() -> None:
    schedule = plugins.load(plugins.SCHEDULES, "until_rollback")(
        Lengths(2, defender_steps=1, attacker_steps=1, publish_every=1)
    )
    history: list[Finished] = []
    while (task := schedule.next(history)) is not None:
        history.append(Finished(task.key, {"rejected": task.key == "round-1/monitor"}))
    assert history[-1].key == "round-1/monitor"


def test_it_keeps_the_contracts_of_every_kind(target: Path) -> None:
    """As docs/extending.md says an author does it; the suites take up what is installed."""
    suites = [ROOT / "tests" / "contract" / name for name in ("worlds", "strategies", "judges", "learning", "schedules")]
    wanted = " or ".join(BROUGHT.values())
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", wanted, *suites]
    environment = {**os.environ, "PYTHONPATH": str(target)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout


def _everything(bus: MemoryBus) -> list:
    reader = bus.log_reader([VERDICTS.name], client_id="test")
    messages = []
    while not reader.caught_up():
        messages += reader.poll(0.1, 1000)
    return messages


@pytest.mark.usefixtures("installed")
def test_it_is_listed_beside_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["world", "list", "--json"]) == 0
    listed = {world["name"][0]: world for world in json.loads(capsys.readouterr().out)}
    assert listed["bazaar"]["attacked"] == ["forbidden"]
    assert "arena" in listed
    assert "politely" in plugins.names(plugins.STRATEGIES)


def test_what_is_not_installed_is_refused_by_name_with_what_is() -> None:
    with pytest.raises(SetupError, match="there is no world 'bazaar'; installed are arena"):
        experiments.parse({**EXPERIMENT, "world": "bazaar"}, "the test's experiment")
    for role, kind, name in (("defender", "algorithm", "extremes"), ("attacker", "objective", "mean_baseline")):
        with pytest.raises(SetupError, match=f"there is no {kind} '{name}'; installed are dpo, "):
            experiments.parse({**EXPERIMENT, role: GAME[role]}, "the test's experiment")
    polite = {"algorithm": "grpo", "steps": 1, "grpo": {**GAME["defender"]["extremes"]}}
    del polite["grpo"]["at_each_end"]
    with pytest.raises(SetupError, match="there is no strategy 'politely'; installed are crescendo, direct"):
        experiments.parse({**EXPERIMENT, "defender": polite}, "the test's experiment")
    with pytest.raises(ValueError, match="there is no world 'bazaar'"):
        JudgeSettings(world="bazaar")
