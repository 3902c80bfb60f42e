"""Plays the jobs of a study, each in a process of its own with one thread, as many side by side as there are cores.

A job that is finished is not played again, and one that was interrupted goes on from its checkpoint: runs in one process give
the same figures however often they are interrupted.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harden.domain.errors import SetupError
from harden.local.children import Child, Command, stop_all
from harden.studies.study import Job
from harden.trainer import experiment as experiments

# Two jobs of several threads each slow one another down: the models are small, and threads that wait spin.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
# What a finished run has no more use for: the weights of every version, and checkpoints.
BULKY = ("store", "checkpoints")
POLL_S = 0.2
# A step in progress ends first.
STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that was played. `failed` says why it has no report."""

    job: Job
    seconds: float
    failed: str | None


@dataclass(frozen=True, slots=True)
class Jobs:
    """The runs of a study, below a directory."""

    root: Path
    side_by_side: int = 1

    def play(self, jobs: Sequence[Job], ended: Callable[[Ended], None]) -> None:
        """Plays what is not finished, in this order. An exception (Ctrl-C) stops what runs; the next call resumes it."""
        left = [job for job in jobs if not self.is_finished(job)]
        running: dict[Child, tuple[Job, float]] = {}
        try:
            while left or running:
                while left and len(running) < self.side_by_side:
                    job = left.pop(0)
                    running[self._start(job)] = job, time.monotonic()
                for child in [child for child in running if child.poll() is not None]:
                    job, began = running.pop(child)
                    ended(Ended(job, time.monotonic() - began, self._end(job, child)))
                time.sleep(POLL_S)
        finally:
            stop_all(list(running), STOP_TIMEOUT_S)

    def is_finished(self, job: Job) -> bool:
        """Raises SetupError where the directory holds a run of another experiment."""
        home = self.root / job.path
        if not (home / "experiment.yaml").is_file():
            return False
        if experiments.load(home / "experiment.yaml") != job.experiment:
            raise SetupError(
                f"{home} holds a run of another experiment: the study has changed since; "
                "give --out another directory, or remove that one"
            )
        return (home / "report.json").is_file() and bool(self.report(job)["ok"])

    def report(self, job: Job) -> dict[str, Any]:
        """The report of a finished job."""
        content: dict[str, Any] = json.loads((self.root / job.path / "report.json").read_text(encoding="utf-8"))
        return content

    def _start(self, job: Job) -> Child:
        home = self.root / job.path
        home.parent.mkdir(parents=True, exist_ok=True)
        file = home.with_suffix(".yaml")
        file.write_text(experiments.dump(job.experiment), encoding="utf-8")
        argv = [sys.executable, "-m", "harden.cli.main", "run", str(file), "--in-process", "--run-dir", str(home)]
        if any((home / "checkpoints").glob("[0-9]*")):
            argv.append("--resume")
        return Child(Command(str(job.path), argv, home.with_suffix(".log"), ONE_THREAD))

    def _end(self, job: Job, child: Child) -> str | None:
        status = child.poll()
        if status:
            return f"exit status {status}: {child.last_line()} (see {child.command.log})"
        for name in BULKY:
            shutil.rmtree(self.root / job.path / name, ignore_errors=True)
        return None
