"""The ring in one process: no broker, no server, the same game and the same report."""

from pathlib import Path

import pytest

from tests.integration.demo import rings

pytestmark = pytest.mark.slow


def test_a_short_ring_plays_in_one_process(tmp_path: Path) -> None:
    with rings.started(tmp_path, "--in-process") as run:
        assert run.ends() == 0, run.said()
        report = rings.report_of(run)
        assert report["ok"] is True
        rings.assert_sums_are_exact(report)
        assert report["components"]["kafka"] is None
        assert len(report["examples"]) > 0
        assert report["monitor_arm"]["steps"] == 1
        matrix = report["matrix"]
        # The monitor's side run is no round.
        assert matrix["defenders"] == [one["round"] for one in report["rounds"]] == [0, 1]
        assert [len(row) for row in matrix["attack_success"]] == [2] * len(matrix["attackers"])
        assert rings.left_behind(run.directory) == []
