"""python -m benchmarks.main: runs the benchmarks, each in a process of its own, and keeps what they found.

0   every benchmark ran (whether its goal was met stands in the table)
1   one of them failed
"""

import importlib
import subprocess
import sys
import time
from typing import Annotated

from cyclopts import App, Parameter

from benchmarks import results
from benchmarks.harness import Result, machine

# Fast ones first.
BENCHMARKS = (
    "generate_vs_hf",
    "grpo_step_vs_trl",
    "bus_vs_kafka_python",
    "generate_through_triton",
    "swap_under_load",
    "ring_vs_one_process",
)

app = App(name="benchmarks", help="Speed against peers and limits, as ratios.", help_format="plaintext")


@app.default
def bench(
    *,
    only: Annotated[str | None, Parameter(help=f"One of {', '.join(BENCHMARKS)}.")] = None,
    quick: Annotated[bool, Parameter(help="Tiny sizes: shows that it runs. Writes nothing.", negative="")] = False,
) -> int:
    """Measures, writes benchmarks/results.json and the README's table, and prints the table."""
    if only is not None and only not in BENCHMARKS:
        print(f"there is no benchmark {only!r}; one of {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    if only is None:
        return _all(quick)
    lines = [result.to_json(machine()) for result in _run(only, quick)]
    if not quick:
        merged = results.merge(results.read(), lines, BENCHMARKS)
        results.write(merged)
        results.show_in_readme(merged)
    print(results.as_text(lines))
    print(results.details_as_text(lines))
    return 0


def _run(name: str, quick: bool) -> list[Result]:
    module = importlib.import_module(f"benchmarks.{name}")
    began = time.monotonic()
    found: list[Result] = module.run(quick)
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return found


def _all(quick: bool) -> int:
    """One process each: threads, memory and settings of one do not reach the next."""
    failed = []
    for name in BENCHMARKS:
        print(f"\nmeasuring {name}", flush=True)
        argv = [sys.executable, "-m", "benchmarks.main", "--only", name, *(["--quick"] if quick else [])]
        if subprocess.run(argv, check=False).returncode:
            failed.append(name)
    if not quick:
        print(f"\n{results.as_text(results.read())}")
    if failed:
        print(f"failed: {', '.join(failed)}; each says above why", file=sys.stderr)
    return 1 if failed else 0


def main() -> None:
    try:
        status = app(result_action="return_value")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(status)


if __name__ == "__main__":
    main()
