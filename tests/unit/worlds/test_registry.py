"""Worlds by name, the checkpoints that ship with them, and what is said where there is none."""

from pathlib import Path

import pytest

from harden.domain.errors import SetupError
from harden.domain.game import Use, attacked
from harden.trainer.game.seeding import categories_of
from harden.worlds import registry
from harden.worlds.arena.__main__ import main as build_arena
from tests.support.loop import an_experiment


def test_a_world_is_loaded_once() -> None:
    assert registry.load("arena") is registry.load("arena")


def test_a_world_that_is_not_installed_is_refused_with_those_that_are() -> None:
    with pytest.raises(SetupError, match="there is no world 'bazaar'; installed are arena"):
        registry.load("bazaar")


def test_a_world_must_call_itself_as_its_entry_point_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "impostors.py").write_text("from harden.worlds.arena.bundle import Arena\n")
    info = tmp_path / "impostors-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: impostors\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harden.worlds]\nimpostor = impostors:Arena\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SetupError, match="the world 'impostor' calls itself 'arena'; give its entry point the same name"):
        registry.load("impostor")


def test_a_policy_is_a_directory_or_one_that_ships_with_a_world(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert registry.policy_directory(str(tmp_path)) == tmp_path
    assert (registry.policy_directory("arena:attacker") / "model.safetensors").is_file()
    for source in ("arena:nobody", "bazaar:attacker", "nowhere"):
        with pytest.raises(SetupError, match=f"{source} is no Hugging Face model directory .*arena:attacker, arena:defender"):
            registry.policy_directory(source)


def test_attacked_categories_are_those_that_the_attacker_is_measured_on() -> None:
    world = registry.load("arena")
    assert attacked(world) == [c for c, use in world.categories.items() if use is Use.ATTACKED] == ["harmful"]
    assert "harmful" in categories_of(an_experiment(), attacked(world))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["."], "not empty"), (["new", "--model", "seed_defender"], "--base"), (["new", "--model", "huge"], "invalid choice")],
)
def test_a_model_is_not_built_over_another_nor_from_nothing(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        build_arena(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
