"""A game in one process is the same game every time, also when the process is killed in the middle of it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harden.cli import in_process
from harden.local.interrupts import Interrupts
from harden.local.play import Plan, play
from harden.local.progress import PlainDisplay
from harden.local.rundir import LocalRun
from harden.trainer import experiment as experiments
from tests.support.loop import EXPERIMENT, an_experiment

# Of the thirteen or so of the game: one step of the defender is learned from, the bouts of the next are under way.
KILLED_AT_CHECKPOINT = 5
DEADLINE_S = 120.0
# The tests of a process share its number of threads, which may decide how sums are rounded.
LEARNER = {"num_threads": 1}
CHANGES = {role: {**EXPERIMENT[role], "learner": LEARNER} for role in ("defender", "attacker")}


def played(root: Path, *, resume: bool = False) -> bytes:
    """The report of the game in that directory."""
    plan = Plan(an_experiment(**CHANGES), LocalRun(root), {}, 0.0, "a test", resume=resume, in_process=True)
    with (root.parent / f"{root.name}.txt").open("w") as out, Interrupts() as interrupts:
        report = play(plan, PlainDisplay(out), in_process.start, interrupts)
    assert report.ok, report.failed
    assert report.rounds[-1].swaps.count > 0
    return (root / "report.json").read_bytes()


def kill_at_checkpoint(number: int, root: Path, experiment: Path) -> None:
    """Plays the game in a process of its own until it has that checkpoint, and kills it."""
    argv = [sys.executable, "-m", "harden.cli.main", "run", str(experiment), "--run-dir", str(root), "--in-process"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ}) as process:
        deadline = time.monotonic() + DEADLINE_S
        try:
            while not (root / "checkpoints" / f"{number:08d}").is_dir():
                assert process.poll() is None, "the game ended before it was killed"
                assert time.monotonic() < deadline, "the game did not come so far"
                time.sleep(0.01)
        finally:
            process.send_signal(signal.SIGKILL)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return played(tmp_path_factory.mktemp("first") / "run")


@pytest.mark.slow  # what is asserted below depends on it as well
def test_a_second_run_of_the_same_seed_gives_the_same_report(expected: bytes, tmp_path: Path) -> None:
    assert played(tmp_path / "run") == expected


def test_a_run_that_was_killed_and_resumed_gives_the_report_of_one_that_was_not(expected: bytes, tmp_path: Path) -> None:
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text(experiments.dump(an_experiment(**CHANGES)))
    kill_at_checkpoint(KILLED_AT_CHECKPOINT, tmp_path / "run", experiment)
    assert not (tmp_path / "run" / "report.json").exists()
    assert played(tmp_path / "run", resume=True) == expected
