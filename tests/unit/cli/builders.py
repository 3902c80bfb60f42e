"""Runs as the trainer leaves them behind, with defaults."""

import json
from pathlib import Path
from typing import Any


def a_rate(k: int, n: int = 200) -> dict[str, float]:
    """With bounds that hold the rate; how wide is not what these tests are about."""
    return {"k": k, "n": n, "rate": k / n, "low": max(0.0, k / n - 0.05), "high": min(1.0, k / n + 0.05)}


def a_round(number: int, *, train: int = 100, ordinary: int = 190, **parts: Any) -> dict[str, Any]:
    return {
        "round": number,
        "attack_success": {"train": a_rate(train), "held_out_potion": a_rate(train)},
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


def write_run(root: Path, rounds: list[dict[str, Any]], **files: dict[str, Any]) -> Path:
    """A finished run, unless `run` says otherwise; `files` are further JSON files by stem."""
    (root / "rounds").mkdir(parents=True)
    for one in rounds:
        (root / "rounds" / f"{one['round']}.json").write_text(json.dumps(one))
    for stem, content in {"run": {"ok": True, "seed": 7, "failed": None, "play_seconds": 12.5}, **files}.items():
        (root / f"{stem}.json").write_text(json.dumps(content))
    return root
