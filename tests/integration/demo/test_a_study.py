"""A study as its own process: it is stopped after a run, goes on where it was, and says what its runs measured."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harden.cli.main import run as harden
from tests.support.workers import wait_until

pytestmark = [pytest.mark.slow]
SHORT = Path(__file__).parent / "short.yaml"
# A run of one round in one process takes 15 seconds on an idle core.
ENDS_WITHIN_S = 240.0
STUDY = f"""
name: short
base: {SHORT}
worlds: [arena]
seeds: [1, 2]
changes: {{side_run: null, cross_play: null, policies: {{}}}}
reference: shipped
arms:
  shipped: {{title: as shipped}}
  frozen: {{title: attacker frozen, changes: {{attacker.steps: 0}}}}
measures: {{attack_success.trained: ASR, refusal.ordinary: over-refusal}}
"""


def _command(study: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "harden.cli.main", "study", "run", str(study), "--out", str(out), "--jobs", "2"]


def test_a_study_is_stopped_goes_on_and_makes_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, out = tmp_path / "study.yaml", tmp_path / "out"
    study.write_text(STUDY)
    first = subprocess.Popen(_command(study, out), stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: any(out.glob("*/*/report.json")) or first.poll() is not None, "a finished run", ENDS_WITHIN_S)
    finally:
        first.send_signal(signal.SIGTERM)
    _, said = first.communicate(timeout=60)
    assert first.returncode == 128 + signal.SIGTERM, said
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*/report.json")}
    assert 1 <= len(before) < 4

    second = subprocess.run(_command(study, out), capture_output=True, text=True, timeout=ENDS_WITHIN_S, check=False)
    assert second.returncode == 0, second.stderr
    assert all(path.stat().st_mtime_ns == written for path, written in before.items()), "what was finished is kept"

    report = json.loads((out / "report.json").read_text())
    assert (report["ok"], report["runs"]) == (True, {"planned": 4, "finished": 4})
    for arm in ("shipped", "frozen"):
        measured = report["arms"][arm]["measures"]["attack_success.trained"]
        # Two runs an arm are too few for an interval.
        assert (measured["mean"], measured["against_reference"]) == (None, None)
        assert 0 <= measured["by_world"]["arena"] <= 1
    assert (out / "report.html").read_text().startswith("<!doctype html>")

    capsys.readouterr()
    assert harden(["study", "report", str(study), "--out", str(out), "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("| measure | as shipped | attacker frozen |")

    study.write_text(STUDY.replace("attacker.steps: 0", "attacker.steps: 2"))
    assert harden(["study", "run", str(study), "--out", str(out)]) == 2
    assert "the study has changed since" in capsys.readouterr().err
