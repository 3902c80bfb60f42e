"""Child processes that never outlive this one, however it ends: SIGKILL included.

Each child leads a process group of its own, so that a Ctrl-C meant for us does not reach it before we have decided
in which order things stop, and so that the processes it starts itself are stopped with it.
"""

import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

POLL_S = 0.02
# After SIGKILL a process is gone as soon as the kernel gets to it; longer means that it hangs inside the kernel.
KILL_TIMEOUT_S = 5.0

# Runs in the child before the real program: leaves a guard behind in the child's process group. The guard holds the
# reading end of a pipe whose other end only this process has; when that closes, for any reason, it kills the group,
# itself included. The kernel's parent-death signal would reach the child alone, not what the child has started, and
# would come with the end of the thread that started it. Done in a process of its own because code between fork and
# exec is not safe where threads run; forked twice, so that the program never meets a child that it does not know.
_GUARDED = (
    "import os, signal, sys\n"
    "guards = int(sys.argv[1])\n"
    "if os.fork() == 0:\n"
    "    if os.fork() == 0:\n"
    "        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):\n"
    "            signal.signal(number, signal.SIG_IGN)\n"
    "        os.read(guards, 1)\n"
    "        os.killpg(0, signal.SIGKILL)\n"
    "    os._exit(0)\n"
    "os.wait()\n"
    "os.close(guards)\n"
    "os.execvpe(sys.argv[2], sys.argv[2:], os.environ)\n"
)


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run. `environment` is added to ours; the output of every start is appended to `log`."""

    name: str
    argv: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)


class Child:
    """A running command. Its descendants end with it, with this object, and with this process."""

    def __init__(self, command: Command) -> None:
        self.command = command
        command.log.parent.mkdir(parents=True, exist_ok=True)
        guards, ours = os.pipe()
        argv = [sys.executable, "-I", "-S", "-c", _GUARDED, str(guards), *command.argv]
        try:
            with command.log.open("ab") as log:
                self._process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **command.environment},
                    start_new_session=True,
                    pass_fds=(guards,),
                )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(guards)
        # The guard wakes when this closes: after the child's end, with this object, or with this process.
        self._release = weakref.finalize(self, os.close, ours)

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs. Its descendants have ended with it."""
        status = self._process.poll()
        if status is not None:
            self._release()
        return status

    def signal(self, number: int) -> None:
        """Signals the process and its descendants. No error where all have ended."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    def last_line(self) -> str:
        """The last line of its output that is not a JSON log entry: an error message, or the end of a traceback."""
        lines = [line for line in self.log_end(50).splitlines() if line.strip() and not line.startswith("{")]
        return lines[-1].strip() if lines else "no output"

    def log_end(self, num_lines: int = 5) -> str:
        """The last lines it wrote."""
        return log_end(self.command.log, num_lines)


def stop_all(children: Sequence[Child], grace_s: float) -> list[str]:
    """Asks all of them to end, kills those that have not within `grace_s`, and waits. Returns the names of the killed ones."""
    for child in children:
        if child.poll() is None:
            child.signal(signal.SIGTERM)
    _wait(children, grace_s)
    killed = [child.command.name for child in children if child.poll() is None]
    for child in children:
        # Also where the child itself has ended: its descendants may be alive.
        child.signal(signal.SIGKILL)
    _wait(children, KILL_TIMEOUT_S)
    return killed


def _wait(children: Sequence[Child], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and any(child.poll() is None for child in children):
        time.sleep(POLL_S)


def log_end(log: Path, num_lines: int) -> str:
    try:
        lines = log.read_bytes()[-16_384:].decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-num_lines:])
