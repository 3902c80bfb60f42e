"""How a service's process starts, what its admin port says, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from harden.runtime.process import run_main
from tests.support.tiny_service import TinyConfig, serve
from tests.support.workers import wait_until

PROGRAM = [sys.executable, "-m", "tests.support.tiny_service"]
TIMEOUT_S = 60


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HARDEN_")} | dict(settings)


def run(**settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(PROGRAM, env=environment(settings), capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


@contextmanager
def started(**settings: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The running program and its admin port; killed at the end if it still runs."""
    program = subprocess.Popen(
        PROGRAM, env=environment(settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert program.stdout is not None
        yield program, int(program.stdout.readline().removeprefix("port "))
    finally:
        program.kill()
        program.communicate(timeout=TIMEOUT_S)


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_service_becomes_ready_handles_exports_metrics_and_drains_on_sigterm() -> None:
    with started() as (program, port):
        assert get(port, "/healthz") == (200, "ok\n")
        wait_until(lambda: get(port, "/readyz") == (200, "ready\n"), "readiness")
        wait_until(lambda: 'harden_events_handled_total{outcome="ok"} 3.0' in get(port, "/metrics")[1], "three bouts")
        assert 'harden_process_info{service="tiny_service"} 1.0' in get(port, "/metrics")[1]
        program.send_signal(signal.SIGTERM)
        assert program.wait(TIMEOUT_S) == 0


def test_ctrl_c_drains_too() -> None:
    with started() as (program, port):
        wait_until(lambda: get(port, "/readyz")[0] == 200, "readiness")
        program.send_signal(signal.SIGINT)
        assert program.wait(TIMEOUT_S) == 0


def test_a_failing_background_task_ends_the_process() -> None:
    done = run(HARDEN_DEMO__FAILS="background")
    assert done.returncode == 1
    assert "ArithmeticError: the background task has a bug" in done.stderr


def test_a_process_whose_place_was_taken_ends_with_a_code_of_its_own() -> None:
    done = run(HARDEN_DEMO__FAILS="fenced")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == "tiny_service: another process took over as 'trainer'; this one must end"


def one_line(exit_code: object, stderr: str) -> str:
    """The complaint of a process that could not start: one line on stderr, exit code 2."""
    assert exit_code == 2, stderr
    (line,) = stderr.splitlines()
    return line


def test_a_port_in_use_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(HARDEN_ADMIN__PORT=str(port))
    line = one_line(done.returncode, done.stderr)
    assert f"127.0.0.1:{port}" in line
    assert "HARDEN_ADMIN__PORT" in line


def test_a_broker_that_is_not_there_is_one_line() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
    settings = {"HARDEN_KAFKA__BOOTSTRAP_SERVERS": address, "HARDEN_KAFKA__CONNECT_TIMEOUT_S": "1"}
    done = run(HARDEN_DEMO__BUS="kafka", **settings)
    assert one_line(done.returncode, done.stderr) == (
        f"tiny_service: no Kafka broker answers at {address}; start one, or set HARDEN_KAFKA__BOOTSTRAP_SERVERS to where it is"
    )


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[object, str, str]]:
    """Runs the service's `main` here, for what ends before anything starts; its exit code, output and complaint."""

    def run_here(*arguments: str, **settings: str) -> tuple[object, str, str]:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        code: object = 0
        try:
            run_main(TinyConfig, serve, arguments)
        except SystemExit as ending:
            code = ending.code
        out, err = capsys.readouterr()
        return code, out, err

    return run_here


def test_what_a_service_misses_before_anything_runs_is_one_line(main: Callable[..., tuple[object, str, str]]) -> None:
    code, _, err = main(HARDEN_DEMO__FAILS="early")
    assert one_line(code, err) == "tiny_service: the signing key is missing"


def test_a_wrong_setting_is_one_line(main: Callable[..., tuple[object, str, str]]) -> None:
    code, _, err = main(HARDEN_ADMIN__PORT="70000")
    line = one_line(code, err)
    assert "HARDEN_ADMIN__PORT" in line
    assert "65535" in line


def test_an_unknown_setting_names_the_nearest(main: Callable[..., tuple[object, str, str]]) -> None:
    code, _, err = main(HARDEN_KAFKA__BOOTSTRAP_SERVER="kafka:9092")
    line = one_line(code, err)
    assert "HARDEN_KAFKA__BOOTSTRAP_SERVER;" in line
    assert "HARDEN_KAFKA__BOOTSTRAP_SERVERS" in line


def test_check_config_says_so_and_ends(main: Callable[..., tuple[object, str, str]]) -> None:
    code, out, _ = main("--check-config", HARDEN_KAFKA__BOOTSTRAP_SERVERS="nowhere:1", HARDEN_JUDGE__QUORUM="2")
    assert (code, out) == (0, "tiny_service: the settings can be used\n")
    assert main("--check-config", HARDEN_LOG__LEVEL="loud")[0] == 2


def test_settings_are_listed_with_their_meaning(main: Callable[..., tuple[object, str, str]]) -> None:
    _, out, _ = main("--settings")
    for name in ("HARDEN_KAFKA__BOOTSTRAP_SERVERS", "HARDEN_DEMO__FAILS", "HARDEN_WORKER__RETRY_ATTEMPTS"):
        assert f"\n{name}: " in "\n" + out
