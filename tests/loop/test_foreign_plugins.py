"""A world, a strategy and a judge of another distribution are played like ours: only settings and the experiment name them."""

import json
from pathlib import Path
from typing import Any

import pytest

from harden import codec, plugins
from harden.bus.memory import MemoryBus
from harden.cli.main import run
from harden.domain.errors import SetupError
from harden.domain.verdict import JudgedBout
from harden.judge.config import JudgeSettings
from harden.topics import VERDICTS
from harden.trainer import experiment as experiments
from tests.support.loop import EXPERIMENT, a_loop

FOREIGN = Path(__file__).resolve().parents[1] / "support" / "foreign"


def mixes() -> dict[str, dict[str, object]]:
    """The parts of the test's experiment with the foreign names in their mixtures."""
    defender = [
        {"name": "guarded", "category": "everyday", "attacks": "transform", "share": 0.5},
        {"name": "polite", "category": "forbidden", "attacks": "politely", "share": 0.25, "turns": 2},
        {"name": "crescendo", "category": "forbidden", "attacks": "crescendo", "share": 0.25, "turns": 2},
    ]
    attacker = [{"name": "attack", "category": "forbidden", "attacks": "policy", "share": 1.0}]
    parts: dict[str, dict[str, object]] = {}
    for role, mix in (("defender", defender), ("attacker", attacker)):
        part: dict[str, Any] = EXPERIMENT[role]  # type: ignore[assignment]
        parts[role] = {**part, "grpo": {**part["grpo"], "mix": mix}}
    return parts


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if `pip install` had put the distribution there."""
    monkeypatch.syspath_prepend(str(FOREIGN))


@pytest.mark.usefixtures("installed")
def test_a_game_in_a_foreign_world_with_foreign_attacks_and_judges(tmp_path: Path) -> None:
    bus = MemoryBus()
    bus.create_topics()
    with a_loop(bus, tmp_path, world="bazaar", **mixes()) as loop:
        trainer = loop.trainer()
        trainer.run()
        loop.assert_healthy()
    sums = json.loads((loop.run_dir / "rounds/1.json").read_text())["bouts"]
    assert sums["scheduled"] == 3 * 8 + 2 * 3
    assert sums["trained"] > 0
    assert sums["dead_lettered"] == sums["expired"] == 0
    judged = [codec.from_message(VERDICTS, m).fact for m in _everything(bus)]
    polite = [j for j in judged if isinstance(j, JudgedBout) and j.bout.suite == "polite"]
    assert polite
    for bout in polite:
        assert [turn.attack_verdicts[0].score("politeness") for turn in bout.turns()] == [0.5, 1.0]
        assert bout.sampled.attacked.attacks[0].text.startswith("please please ")


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
    with pytest.raises(SetupError, match="there is no strategy 'politely'; installed are crescendo, direct"):
        experiments.parse({**EXPERIMENT, "defender": mixes()["defender"]}, "the test's experiment")
    with pytest.raises(ValueError, match="there is no world 'bazaar'"):
        JudgeSettings(world="bazaar")
