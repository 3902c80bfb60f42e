"""Starts `harden` as a person does and looks for what it leaves behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
EXPERIMENT = Path(__file__).with_name("short.yaml")
# Two busy cores import torch six times before anything is played.
DEADLINE_S = 300.0


@dataclass
class Run:
    """A `harden run` that is going on."""

    process: subprocess.Popen[bytes]
    directory: Path
    output: Path

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert self.process.poll() is None, f"it ended with {self.process.returncode} before {what}:\n{self.said()}"
            assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s: {what}:\n{self.said()}"
            time.sleep(0.02)

    def until_said(self, words: str) -> None:
        self.until(lambda: words in self.said(), f"it said {words!r}")

    def until_phase(self, phase: str, *, round_: int = 1, step: int = 1) -> None:
        def is_there() -> bool:
            try:
                now = json.loads((self.directory / "progress.json").read_text())
            except FileNotFoundError:
                return False
            return bool((now["round"], now["phase"]) == (round_, phase) and now["step"] >= step)

        self.until(is_there, f"step {step} of phase {phase}")

    def ring(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.directory / "ring.json").read_text())
        return content

    def ends(self) -> int:
        try:
            return self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {DEADLINE_S:.0f} s:\n{self.said()}") from None


@contextmanager
def started(tmp_path: Path, *arguments: str, directory: Path | None = None) -> Iterator[Run]:
    """Not on a terminal, in a process group of its own, so that only it gets the signals that tests send.

    A run that a failing test leaves behind is killed: what it had started dies with it.
    """
    directory, output = directory or tmp_path / "run", tmp_path / "output.txt"
    argv = [sys.executable, "-m", "harden.cli.main", "run", str(EXPERIMENT), "--run-dir", str(directory), *arguments]
    with output.open("wb") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True)
    try:
        yield Run(process, directory, output)
    finally:
        process.kill()
        process.wait()


def left_behind(directory: Path) -> list[str]:
    """Processes that work on this run's directory: it stands in the command line or the settings of all of them."""
    mark = str(directory).encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            if mark in command or mark in (entry / "environ").read_bytes():
                words = command.decode(errors="replace").replace("\0", " ")
                found.append(f"{entry.name}: {words}"[:200])
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def pids_of(run: Run, service: str) -> list[int]:
    """Of a service's processes: those that run its module in this run's directory, without their guards."""
    lines = [line for line in left_behind(run.directory) if f"-m harden.{service}.main" in line and " -c " not in line]
    return [int(line.split(":")[0]) for line in lines]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ports_of(ring: dict[str, Any]) -> list[int]:
    addresses = (ring["bootstrap_servers"], ring["triton_grpc"], ring["triton_http"])
    return [int(address.rsplit(":", 1)[1]) for address in addresses] + list(ring["admin_ports"].values())


def report_of(run: Run) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run.directory / "report.json").read_text())
    return content


def assert_sums_are_exact(report: dict[str, Any]) -> None:
    """Every bout that was scheduled ended in exactly one state."""
    for one in report["rounds"][1:]:
        bouts = one["bouts"]
        ended = bouts["trained"] + sum(bouts["dropped"].values()) + bouts["dead_lettered"] + bouts["expired"]
        assert bouts["scheduled"] == ended > 0
