"""Real processes: a child that outlives its parent is exactly what a fake would not show."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harden.local import restarts
from harden.local.children import Child, Command, stop_all
from harden.local.ports import free_ports
from harden.local.supervisor import RingBroken, Supervisor

DEADLINE_S = 20.0
SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
WITH_GRANDCHILD = (
    "import subprocess, sys, time\n"
    "deaf = 'import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)'\n"
    "child = subprocess.Popen([sys.executable, '-c', deaf])\n"
    "print('up', child.pid, flush=True)\n"
    "time.sleep(600)\n"
)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s: {what}"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def command(tmp_path: Path, code: str, name: str = "one") -> Command:
    return Command(name, [sys.executable, "-c", code], tmp_path / f"{name}.log")


def has_said(child: Child, word: str) -> bool:
    return child.command.log.exists() and word in child.command.log.read_text()


def test_a_child_that_is_asked_to_stop_stops(tmp_path: Path) -> None:
    child = Child(command(tmp_path, SLEEPER))
    until(lambda: has_said(child, "up"), "the child runs")
    assert stop_all([child], grace_s=10) == []
    assert child.poll() == -signal.SIGTERM


def test_a_child_that_does_not_listen_is_killed_and_named(tmp_path: Path) -> None:
    child = Child(command(tmp_path, STUBBORN, "stubborn"))
    until(lambda: has_said(child, "up"), "the child runs")
    assert stop_all([child], grace_s=0.1) == ["stubborn"]
    assert not is_alive(child.pid)


def test_what_a_child_started_is_stopped_with_it(tmp_path: Path) -> None:
    child = Child(command(tmp_path, WITH_GRANDCHILD))
    until(lambda: has_said(child, "up"), "the grandchild runs")
    grandchild = int(child.command.log.read_text().split()[1])
    assert is_alive(grandchild)
    stop_all([child], grace_s=5)
    until(lambda: not is_alive(grandchild), "the grandchild is gone")


def test_what_a_child_started_ends_with_a_child_that_crashed(tmp_path: Path) -> None:
    child = Child(command(tmp_path, WITH_GRANDCHILD))
    until(lambda: has_said(child, "up"), "the grandchild runs")
    grandchild = int(child.command.log.read_text().split()[1])
    os.kill(child.pid, signal.SIGKILL)
    until(lambda: child.poll() is not None, "the child is gone")
    until(lambda: not is_alive(grandchild), "the grandchild is gone")


def test_a_child_and_what_it_started_die_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    parent_code = (
        "import sys, time; from pathlib import Path; from harden.local.children import Child, Command\n"
        f"child = Child(Command('one', [sys.executable, '-c', {WITH_GRANDCHILD!r}], Path({str(log)!r})))\n"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", parent_code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child_pid = int(parent.stdout.readline())
        until(lambda: log.exists() and "up" in log.read_text(), "the grandchild runs")
        grandchild = int(log.read_text().split()[1])
        assert is_alive(child_pid)
        assert is_alive(grandchild)
        parent.send_signal(signal.SIGKILL)
        until(lambda: not is_alive(child_pid), "the child is gone")
        until(lambda: not is_alive(grandchild), "the grandchild is gone")


def test_a_service_that_was_killed_is_started_again_and_said_so(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    try:
        supervisor.start([command(tmp_path, SLEEPER, "judge")])
        first = supervisor.pids["judge"]
        os.kill(first, signal.SIGKILL)
        until(lambda: supervisor.status("judge") is not None, "the judge is dead")
        assert supervisor.check() == ["judge"]
        assert supervisor.pids["judge"] != first
        assert supervisor.status("judge") is None
        assert "judge was ended by signal 9" in said[0]
    finally:
        supervisor.stop(grace_s=5)


def test_a_service_that_says_something_must_be_put_right_is_not_started_again(tmp_path: Path) -> None:
    supervisor = Supervisor(lambda _: None)
    supervisor.start([command(tmp_path, "import sys; print('judge: no broker answers'); sys.exit(2)", "judge")])
    until(lambda: supervisor.status("judge") is not None, "the judge has ended")
    with pytest.raises(RingBroken, match="no broker answers"):
        supervisor.check()


def test_a_service_may_die_a_few_times_in_a_while_and_no_more() -> None:
    deaths = [0.0, 1.0, 2.0]
    assert restarts.decide(-9, deaths[:2], now=3.0)[0]
    assert restarts.decide(-9, deaths, now=3.0) == (False, "it has ended 4 times within 60 s")
    assert restarts.decide(-9, deaths, now=61.5)[0]


def test_free_ports_are_all_different() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
