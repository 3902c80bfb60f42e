import json
import os
from pathlib import Path

import pytest

from harden.domain.errors import SetupError
from harden.local.rundir import Live, LocalRun


def test_a_directory_that_no_run_made_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work")
    with pytest.raises(SetupError, match="holds files that no run made"), LocalRun(tmp_path).claimed():
        pass
    assert precious.read_text() == "years of work"


def test_a_new_run_replaces_the_last_one(tmp_path: Path) -> None:
    run = LocalRun(tmp_path / "run")
    with run.claimed():
        run.write("progress.json", {"phase": "done"})
        (run.root / "kafka").mkdir()
    with run.claimed():
        assert [path.name for path in run.root.iterdir()] == [".lock"]


def test_two_runs_cannot_share_a_directory(tmp_path: Path) -> None:
    run = LocalRun(tmp_path / "run")
    with run.claimed(), pytest.raises(SetupError, match="another run is using"), run.claimed():
        pass


def test_a_run_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_text("")
    with pytest.raises(SetupError, match="is a file"), LocalRun(path).claimed():
        pass


def test_a_ring_is_live_only_while_its_process_is(tmp_path: Path) -> None:
    run = LocalRun(tmp_path)
    assert run.live() is None
    live = Live(os.getpid(), "127.0.0.1:9092", "127.0.0.1:8001", "127.0.0.1:8000", {"judge": 1})
    run.announce(live)
    assert run.live() == live
    # No process has this number: it is above what the kernel gives out.
    (tmp_path / "ring.json").write_text(json.dumps({**json.loads((tmp_path / "ring.json").read_text()), "pid": 2**22 + 1}))
    assert run.live() is None


def test_a_run_that_goes_on_finds_its_directory_as_it_was(tmp_path: Path) -> None:
    run = LocalRun(tmp_path / "run")
    (run.root / "checkpoints" / "00000001").mkdir(parents=True)
    run.kafka.mkdir()
    run.write_text("experiment.yaml", "name: kept")
    with run.claimed(resume=True):
        assert run.experiment.read_text() == "name: kept"
        assert (run.root / "checkpoints" / "00000001").is_dir()


@pytest.mark.parametrize(
    ("present", "said"), [("kafka", "no checkpoint to go on from"), ("checkpoints/00000001", "was not kept")]
)
def test_without_a_checkpoint_or_its_log_there_is_nothing_to_go_on_with(tmp_path: Path, present: str, said: str) -> None:
    run = LocalRun(tmp_path / "run")
    (run.root / present).mkdir(parents=True)
    run.write_text("experiment.yaml", "name: kept")
    with pytest.raises(SetupError, match=said), run.claimed(resume=True):
        raise AssertionError("it was claimed")
    assert run.experiment.exists(), "nothing was removed"


@pytest.mark.parametrize(
    ("kept", "in_process", "said"), [("kafka", True, "leave --in-process out"), ("events.binpb", False, "add --in-process")]
)
def test_a_run_goes_on_where_its_log_is(tmp_path: Path, kept: str, in_process: bool, said: str) -> None:
    run = LocalRun(tmp_path / "run")
    (run.root / "checkpoints" / "00000001").mkdir(parents=True)
    run.write_text("experiment.yaml", "name: kept")
    (run.root / kept).mkdir()
    with pytest.raises(SetupError, match=said), run.claimed(resume=True, in_process=in_process):
        raise AssertionError("it was claimed")
    with run.claimed(resume=True, in_process=not in_process):
        pass
