"""Runs as their logs say them, with defaults."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harden import codec
from harden.bus.memory import MemoryBus
from harden.cli.reporting.gather import gather
from harden.cli.reporting.recorded import Recorded
from harden.cli.reporting.schema import Exchange, Matrix, Report, Round
from harden.domain.round import CrossPlayFinished, RoundFinished, RunFinished, SideRunFinished
from harden.domain.step import StepFinished
from harden.local.rundir import LocalRun
from harden.trainer import experiment as experiments
from harden.trainer.experiment import run_id_of
from tests.support import facts
from tests.support.wire import sent

ENDING = RunFinished("run-0", 7, None, 12.5)


def a_rate(k: int, n: int = 200) -> dict[str, float]:
    """With bounds that hold the rate; how wide is not what these tests are about."""
    return {"k": k, "n": n, "rate": k / n, "low": max(0.0, k / n - 0.05), "high": min(1.0, k / n + 0.05)}


def a_round(number: int, *, train: int = 100, ordinary: int = 190, **parts: Any) -> dict[str, Any]:
    return {
        "round": number,
        "attack_success": {"trained": a_rate(train), "listed_never_attacked": a_rate(train)},
        "refusal": {"ordinary": a_rate(200 - ordinary)},
        "accuracy": {"ordinary": a_rate(ordinary)},
        "attacker": {
            "success_before": a_rate(90), "success_after": a_rate(20), "strict": a_rate(90),
            "effective_families": 3.5, "unique_successes": 41,
        },
        "policies": {"attacker": "sha256:" + "a" * 64, "defender": "sha256:" + f"{number}" * 64},
        "rolled_back": False,
        "bouts": {"scheduled": 10, "trained": 7, "dropped": {"stale": 2}, "dead_lettered": 1, "expired": 0},
        "swaps": {
            "count": 2, "refused": 0, "requests": 640, "failed": 0,
            "publish_to_served_ms": {"p50": 120.0, "max": 210.0}, "latency_ms": {"steady_p99": 40.0, "during_swap_p99": 55.0},
        },
        **parts,
    }  # fmt: skip


def a_record(rounds: list[dict[str, Any]], *, ending: RunFinished | None = ENDING, **parts: Any) -> Recorded:
    matrix, shown = parts.get("matrix"), parts.get("examples", ())
    return Recorded(
        rounds=tuple(Round.model_validate(one) for one in rounds),
        matrix=matrix and Matrix.model_validate(matrix),
        ending=ending,
        examples=tuple(Exchange.model_validate(one) for one in shown),
    )


def a_kept_run(root: Path, *told: StepFinished | RoundFinished | SideRunFinished | CrossPlayFinished | RunFinished) -> LocalRun:
    """A run of the demo in one process that is over and told this. A fact of "run-0" is made one of it."""
    run = LocalRun(root)
    run.root.mkdir()
    experiment = experiments.load(experiments.shipped("demo"))
    run.write_text("experiment.yaml", experiments.dump(experiment))
    bus = MemoryBus()
    bus.create_topics()
    run_id = run_id_of(experiment)
    mine = [replace(fact, run_id=run_id) if fact.run_id == "run-0" else fact for fact in told]
    bus.producer(client_id="test").send([sent(facts.an_event(fact)) for fact in mine])
    run.kept_log.write_bytes(codec.pack(message for log in bus.logs.values() for message in log))
    return run


def a_report(root: Path, rounds: list[dict[str, Any]], supervisor: Mapping[str, Any] | None = None, **parts: Any) -> Report:
    root.mkdir()
    if supervisor is not None:
        (root / "supervisor.json").write_text(json.dumps(supervisor))
    return gather(root, a_record(rounds, **parts))
