"""The whole ring as processes, short: it plays through, survives every service's death, and leaves nothing behind."""

import signal
import time
from pathlib import Path

import pytest

from harden.cli.main import run as harden
from tests.integration.demo import rings

# The kernel takes a moment for what was killed, more on a busy machine.
GONE_WITHIN_S = 10.0
pytestmark = [pytest.mark.kafka, pytest.mark.triton, pytest.mark.slow]


def assert_nothing_is_left(run: rings.Run, ports: list[int]) -> None:
    deadline = time.monotonic() + GONE_WITHIN_S
    while time.monotonic() < deadline:
        # A process that is being killed loses its command line before its sockets.
        left, answering = rings.left_behind(run.directory), [port for port in ports if rings.answers(port)]
        if not left and not answering:
            return
        time.sleep(0.05)
    assert left == []
    assert answering == []


def test_a_ring_that_loses_every_service_once_still_plays_to_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with rings.started(tmp_path, "--replicas", "judge=2") as run:
        run.until_phase("defender", step=1)
        ports = rings.ports_of(run.ring())
        assert all(rings.answers(port) for port in ports)
        for service in ("attacker", "defender_inference", "trainer"):
            (pid,) = rings.pids_of(run, service)
            rings.kill(pid)
            run.until_said(f"{service} was ended by signal 9; starting it again")
        run.until_phase("defender", step=2)
        rings.kill(rings.pids_of(run, "judge")[0])
        assert run.ends() == 0, run.said()

        report = rings.report_of(run)
        assert report["ok"] is True
        rings.assert_sums_are_exact(report)
        assert {"kafka", "triton", "judge", "judge-2", "trainer"} < set(report["components"]["processes"])
        assert report["components"]["kafka"].startswith("4.")
        assert report["components"]["triton"].startswith("2.")
        assert all(one["swaps"]["failed"] == 0 for one in report["rounds"])
        assert_nothing_is_left(run, ports)

        example = report["examples"][0]
        assert harden(["bout", "show", example["bout_id"], "--reveal", "--run", str(run.directory)]) == 0
        assert example["attack"] in capsys.readouterr().out
        assert harden(["policy", "verify", "--run", str(run.directory)]) == 0
        assert_nothing_is_left(run, [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_ring_that_is_interrupted_while_it_plays_stops_all_of_it(number: signal.Signals, tmp_path: Path) -> None:
    with rings.started(tmp_path) as run:
        run.until_phase("defender", step=1)
        ports = rings.ports_of(run.ring())
        run.process.send_signal(number)
        assert run.ends() == 128 + number
        assert "all of its processes have ended" in run.said()
        assert "Traceback" not in run.said()
        assert_nothing_is_left(run, ports)


@pytest.mark.parametrize("words", ["starting Kafka", "starting Triton"])
def test_a_ring_that_is_interrupted_while_it_starts_stops_what_it_has(words: str, tmp_path: Path) -> None:
    with rings.started(tmp_path) as run:
        run.until_said(words)
        run.process.send_signal(signal.SIGINT)
        assert run.ends() == 128 + signal.SIGINT
        assert "Traceback" not in run.said()
        assert_nothing_is_left(run, [])


def test_a_ring_whose_command_is_killed_is_gone_with_it(tmp_path: Path) -> None:
    with rings.started(tmp_path) as run:
        run.until_said("are ready")
        ports = rings.ports_of(run.ring())
        run.process.kill()
        run.process.wait()
        assert_nothing_is_left(run, ports)


def test_a_second_run_cannot_take_the_directory_of_one_that_plays(tmp_path: Path) -> None:
    with rings.started(tmp_path) as first:
        first.until_said("starting Kafka")
        (tmp_path / "second").mkdir()
        with rings.started(tmp_path / "second", directory=first.directory) as second:
            assert second.ends() == 2
            assert "another run is using" in second.said()
        first.process.send_signal(signal.SIGINT)
        assert first.ends() == 130
        assert rings.left_behind(first.directory) == []


def test_an_interrupted_run_goes_on_where_it_was_and_is_refused_with_another_experiment(tmp_path: Path) -> None:
    with rings.started(tmp_path) as run:
        run.until_phase("defender", step=2)
        run.process.send_signal(signal.SIGINT)
        assert run.ends() == 128 + signal.SIGINT, run.said()
    kept = run.directory / "experiment.yaml"
    before = kept.read_text()
    with rings.started(tmp_path, "--resume", "--seed", "5", directory=run.directory) as refused:
        assert refused.ends() == 2
        assert "seed was 0 and is 5" in refused.said()
    assert kept.read_text() == before
    with rings.started(tmp_path, "--resume", directory=run.directory) as again:
        assert again.ends() == 0, again.said()
        assert "round 0 of" not in again.said(), "that was done before the interruption"
        assert "round 1 of" in again.said()
    report = rings.report_of(again)
    assert report["ok"] is True
    rings.assert_sums_are_exact(report)
