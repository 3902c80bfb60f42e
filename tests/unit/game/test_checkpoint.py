"""Checkpoints on disk: whole or not there, and no larger than what has changed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harden.domain.errors import FencedError, SetupError
from harden.trainer.game.checkpoint import FORMAT, KEPT, Checkpoints, Part
from tests.support.answering import KilledError


def a_part(text: str, stamp: str = "") -> Part:
    """Its stamp is its text, unless one is given."""

    def write(path: Path) -> None:
        path.write_text(text)

    return Part(stamp or text, write)


def dying(path: Path) -> None:
    path.write_text("half of it")
    raise KilledError


def found(run_dir: Path) -> tuple[dict, dict[str, str]]:
    """The newest state without its frame, and the parts by name."""
    newest = Checkpoints(run_dir).newest()
    assert newest is not None
    state, directory = newest
    parts = {path.name: path.read_text() for path in directory.iterdir() if path.name != "state.json"}
    return {key: value for key, value in state.items() if key not in ("format", "stamps", "digests")}, parts


def test_a_new_run_has_none(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path).newest() is None


def test_what_was_saved_last_is_found(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for number in range(12):
        checkpoints.save({"number": number}, {"attacker": a_part(f"a{number}"), "defender": a_part("d")})
        assert found(tmp_path) == ({"number": number}, {"attacker": f"a{number}", "defender": "d"})


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for number in range(5):
        checkpoints.save({"number": number}, {"part": a_part(str(number))})
        names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
        assert len(names) == min(number + 1, KEPT)
        assert names[-1] == f"{number + 1:08d}"


@pytest.mark.parametrize("how_often", [1, 2])
@pytest.mark.parametrize("done_before", [0, 1, 3])
def test_a_process_killed_while_it_writes_leaves_the_one_before(tmp_path: Path, done_before: int, how_often: int) -> None:
    for number in range(done_before):
        Checkpoints(tmp_path).save({"number": number}, {"part": a_part(f"old {number}")})
    for _ in range(how_often):
        with pytest.raises(KilledError):
            Checkpoints(tmp_path).save({"number": 99}, {"first": a_part("new"), "part": Part("new", dying)})
        if done_before:
            assert found(tmp_path) == ({"number": done_before - 1}, {"part": f"old {done_before - 1}"})
        else:
            assert Checkpoints(tmp_path).newest() is None
    Checkpoints(tmp_path).save({"number": 100}, {"part": a_part("whole")})
    assert found(tmp_path) == ({"number": 100}, {"part": "whole"})


def test_a_part_whose_stamp_is_the_same_is_linked_and_not_written(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save({}, {"large": a_part("large", "1"), "small": a_part("small", "1")})
    before = checkpoints.newest()
    checkpoints.save({}, {"large": Part("1", dying), "small": a_part("changed", "2")})
    after = checkpoints.newest()
    assert before is not None
    assert after is not None
    assert (after[1] / "large").samefile(before[1] / "large")
    assert (before[1] / "small").read_text() == "small", "what an older checkpoint holds stays as it was"
    assert found(tmp_path)[1] == {"large": "large", "small": "changed"}
    # The link outlives the checkpoint that wrote it.
    for _ in range(KEPT + 1):
        checkpoints.save({}, {"large": Part("1", dying)})
    assert found(tmp_path)[1] == {"large": "large"}


def test_a_part_that_was_gone_for_a_while_is_written(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save({}, {"part": a_part("old", "1")})
    checkpoints.save({}, {})
    checkpoints.save({}, {"part": a_part("new", "1")})
    assert found(tmp_path)[1] == {"part": "new"}


def truncate(state: Path) -> None:
    state.write_text(state.read_text()[:10])


def empty(state: Path) -> None:
    state.write_text("")


def lose(state: Path) -> None:
    state.unlink()


@pytest.mark.parametrize("damage", [truncate, empty, lose])
def test_a_damaged_one_is_named_and_the_one_before_it_is_there_once_it_is_deleted(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    checkpoints = Checkpoints(tmp_path)
    for number in range(2):
        checkpoints.save({"number": number}, {})
    newest = tmp_path / "checkpoints" / "00000002"
    damage(newest / "state.json")
    with pytest.raises(SetupError, match=r"checkpoints/00000002 cannot be read .*; delete it to use the previous"):
        checkpoints.newest()
    with pytest.raises(SetupError, match="cannot be read"):
        checkpoints.save({}, {})
    for path in newest.iterdir():
        path.unlink()
    newest.rmdir()
    assert found(tmp_path)[0] == {"number": 0}


def test_one_of_another_format_is_refused(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save({}, {})
    file = tmp_path / "checkpoints" / "00000001" / "state.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": FORMAT - 1}))
    with pytest.raises(SetupError, match=f"has format {FORMAT - 1}, not {FORMAT}; begin a new run"):
        checkpoints.newest()


def test_what_else_lies_in_the_directory_is_no_checkpoint(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save({"number": 1}, {})
    (tmp_path / "checkpoints" / "notes.txt").write_text("mine")
    (tmp_path / "checkpoints" / ".incomplete").mkdir()
    assert found(tmp_path)[0] == {"number": 1}
    checkpoints.save({"number": 2}, {})
    assert found(tmp_path)[0] == {"number": 2}
    assert (tmp_path / "checkpoints" / "notes.txt").read_text() == "mine"


def test_a_trainer_that_another_one_has_followed_saves_nothing_more(tmp_path: Path) -> None:
    old, heir = Checkpoints(tmp_path), Checkpoints(tmp_path)
    kept = old.take_over() / "kept"
    old.save({"number": 1}, {"part": a_part("old")})
    kept.write_text("until it ends")
    heir.take_over()
    assert not kept.exists()
    with pytest.raises(FencedError, match=r"another trainer took over the run in .*; this one must end"):
        old.save({"number": 2}, {"part": a_part("older")})
    assert found(tmp_path) == ({"number": 1}, {"part": "old"})
    heir.save({"number": 3}, {"part": a_part("new")})
    assert found(tmp_path) == ({"number": 3}, {"part": "new"})


def test_a_trainer_that_is_followed_while_it_writes_comes_too_late(tmp_path: Path) -> None:
    old = Checkpoints(tmp_path)
    old.save({"number": 1}, {})

    def meanwhile(path: Path) -> None:
        path.write_text("old")
        Checkpoints(tmp_path).save({"number": 2}, {})

    with pytest.raises(FencedError):
        old.save({"number": 3}, {"part": Part("", meanwhile)})
    assert found(tmp_path) == ({"number": 2}, {})


def test_a_part_that_was_damaged_is_named(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save({}, {"attacker": a_part("attacker"), "defender": a_part("defender")})
    newest = checkpoints.newest()
    assert newest is not None
    checkpoints.check(*newest)
    (newest[1] / "defender").write_text("defendex")
    with pytest.raises(SetupError, match=r"defender in checkpoint .*/00000001 is not what was saved; delete it"):
        checkpoints.check(*newest)
    (newest[1] / "defender").unlink()
    with pytest.raises(SetupError, match=r"defender in checkpoint"):
        checkpoints.check(*newest)
