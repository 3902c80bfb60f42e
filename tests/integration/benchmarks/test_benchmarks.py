"""Every benchmark runs at tiny sizes; whether its goal is met there means nothing."""

import subprocess
import sys

import pytest

from benchmarks.main import BENCHMARKS
from benchmarks.results import RESULTS


@pytest.mark.kafka
@pytest.mark.triton
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_benchmark_runs_and_a_quick_run_writes_nothing() -> None:
    before = RESULTS.read_bytes() if RESULTS.exists() else None
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.main", "--quick"], capture_output=True, text=True, check=False, timeout=850
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name in BENCHMARKS:
        assert f"\n{name}" in done.stdout
    assert (RESULTS.read_bytes() if RESULTS.exists() else None) == before
