"""What the ring costs: one round of the demo on Kafka, Triton and six processes, against the same round in one process.

Compared is the trainer's own clock (`play_seconds` of run.json): from its first task to its last, starting and stopping
left out. The ratio is the median of those of the pairs, with its interval. Beside it stands the CPU time of each run, all
its processes from start to end: where that is equal and the clock is not, the ring waits instead of working.
The demo's experiment with one round, fewer evaluation rows, no side run and no cross-play.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Result, Turn, alternate, command_of, paired_ratios
from harden.trainer import experiment as experiments
from harden.trainer.experiment import Experiment

NAME = "ring_vs_one_process"
# The ring takes at most 1.10 of the other's time.
GOAL = 1 / 1.10
PROJECT = Path(__file__).resolve().parents[1]
DEMO = experiments.shipped("demo")
# Pairs: a run of the ring and one in one process, one after the other.
REPETITIONS = 5
EVALUATION_ROWS = 120
TIMEOUT_S = 300.0
# Ctrl-C reaches a run as well; it has this long to stop what it started.
STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Played:
    """Seconds of one run, by what the trainer did. `waiting` is the rest: bouts on their way, publications, measuring.
    `cpu` are those of the run and of every process it started and awaited, from start to end."""

    play: float
    cpu: float
    phases: Mapping[str, float]

    @classmethod
    def of(cls, run_dir: Path, cpu: float) -> "Played":
        outcome = json.loads((run_dir / "run.json").read_text())
        rounds = [json.loads(path.read_text()) for path in sorted((run_dir / "rounds").glob("*.json"))]
        return cls(outcome["play_seconds"], cpu, phases(outcome["play_seconds"], rounds))


def phases(play_seconds: float, rounds: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Where the time went. Their sum is the whole."""
    steps = [step for one in rounds for step in one["steps"]]
    known = {
        f"learning_{role}": sum(step["seconds"] for step in steps if step["role"] == role) for role in ("defender", "attacker")
    }
    known["evaluating"] = sum(one.get("evaluation_seconds", 0.0) for one in rounds)
    return {**known, "waiting": play_seconds - sum(known.values())}


def run(quick: bool) -> list[Result]:
    experiment = _short(quick)
    seen: dict[str, list[Played]] = {"ring": [], "one_process": []}
    with tempfile.TemporaryDirectory(prefix="harden-bench-ring-") as scratch:
        path = Path(scratch) / "experiment.yaml"
        path.write_text(experiments.dump(experiment))

        def play(kind: str, *options: str) -> Turn:
            played = _play(path, Path(scratch) / kind, options)
            seen[kind].append(played)
            return Turn(1, played.play)

        # A run of processes has nothing to warm up: each begins with new ones.
        alternate(lambda: play("ring"), lambda: play("one_process", "--in-process"), 1 if quick else REPETITIONS, warm_up=0)
    ours, theirs = (statistics.median(played.play for played in seen[kind]) for kind in ("ring", "one_process"))
    paired = paired_ratios(*([one.play for one in seen[kind]] for kind in ("one_process", "ring")))
    spent = {kind: _medians(played) for kind, played in seen.items()}
    return [
        Result(
            name=NAME,
            value=ours,
            unit="s",
            peer="one process",
            peer_value=theirs,
            ratio=paired.median,
            goal=GOAL,
            command=command_of(NAME),
            details={
                "seconds_spent": spent,
                "ring_adds_s": {phase: spent["ring"][phase] - spent["one_process"][phase] for phase in spent["ring"]},
                "paired_ratio": paired.to_json(),
                "cpu_s": {kind: statistics.median(one.cpu for one in played) for kind, played in seen.items()},
                "plays_s": {kind: [one.play for one in played] for kind, played in seen.items()},
                "rounds": experiment.schedule.rounds,
            },
        )
    ]


def _medians(played: Sequence[Played]) -> dict[str, float]:
    return {phase: statistics.median(one.phases[phase] for one in played) for phase in played[0].phases}


def _short(quick: bool) -> Experiment:
    content = experiments.load(DEMO).model_dump(mode="json")
    content["name"] = "bench"
    content["schedule"]["rounds"] = 1
    content["evaluation"] = {"rows": EVALUATION_ROWS}
    content["side_run"] = None
    content["best_response"] = content["cross_play"] = None
    # So short a run may break a limit, and a rollback is not what is measured.
    content["monitor"] |= {key: None for key in content["monitor"] if key.startswith(("max_", "min_"))}
    if quick:
        content["evaluation"] = {"rows": 10}
        content["measure"] = {"seeds": 4, "attacks_per_seed": 2}
        content["defender"]["steps"], content["attacker"]["steps"] = 2, 1
        content["defender"]["grpo"] |= {"bouts_per_step": 12}
        content["attacker"]["grpo"] |= {"bouts_per_step": 4, "num_attacks": 4}
    return experiments.parse(content, NAME)


def _play(experiment: Path, run_dir: Path, options: Sequence[str]) -> Played:
    argv = [sys.executable, "-m", "harden.cli.main", "run", str(experiment), "--run-dir", str(run_dir), *options]
    before = _cpu_of_children()
    with _running(argv) as process:
        said, _ = process.communicate(timeout=TIMEOUT_S)
    if not (run_dir / "run.json").exists() or not json.loads((run_dir / "run.json").read_text())["ok"]:
        raise RuntimeError(f"`harden run` did not play to its end: {said[-2000:]}")
    return Played.of(run_dir, _cpu_of_children() - before)


def _cpu_of_children() -> float:
    """Seconds that processes spent which ended and were awaited, theirs included."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


@contextmanager
def _running(argv: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Asked to stop when we end early; what it has started stops with it."""
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=PROJECT)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
