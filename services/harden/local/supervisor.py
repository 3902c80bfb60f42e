"""Starts the services, watches them, restarts a dead one within limits, and stops them all."""

import http.client
import time
from collections.abc import Callable, Mapping, Sequence

from harden.domain.errors import SetupError
from harden.local import restarts
from harden.local.children import Child, Command, stop_all

READY_POLL_S = 0.05
ANSWER_TIMEOUT_S = 1.0


class RingBroken(Exception):
    """A process died and may not be started again. Names it, the reason and its last output."""


class Supervisor:
    """Watches the commands it was given. `say` gets one line for everything a person should know.

    Those in `may_finish` are left alone once they have ended with status 0; for any other that is a death like every one.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        *,
        may_finish: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._may_finish = may_finish
        self._clock = clock
        self._children: dict[str, Child] = {}
        self._deaths: dict[str, list[float]] = {}

    @property
    def pids(self) -> dict[str, int]:
        return {name: child.pid for name, child in self._children.items()}

    def start(self, commands: Sequence[Command]) -> None:
        for command in commands:
            self._children[command.name] = Child(command)

    def check(self) -> list[str]:
        """Looks after every child once; returns the names of those started again. Raises RingBroken."""
        revived = []
        for name, child in list(self._children.items()):
            status = child.poll()
            if status is None or (status == 0 and name in self._may_finish):
                continue
            now = self._clock()
            deaths = self._deaths.setdefault(name, [])
            may, reason = restarts.decide(status, deaths, now)
            if not may:
                raise RingBroken(
                    f"{name} {restarts.describe(status)} and is not started again, because {reason}; "
                    f"its last output: {child.last_line()} (log: {child.command.log})"
                )
            deaths.append(now)
            child.signal(9)  # what it may have left behind
            self._say(f"{name} {restarts.describe(status)}; starting it again (log: {child.command.log})")
            self._children[name] = Child(child.command)
            revived.append(name)
        return revived

    def status(self, name: str) -> int | None:
        """Exit status of one child, None while it runs."""
        return self._children[name].poll()

    def stop(self, grace_s: float) -> None:
        """Stops all of them at once, and returns when all have ended."""
        killed = stop_all(list(self._children.values()), grace_s)
        if killed:
            self._say(f"killed, because they did not stop within {grace_s:.0f} s: {', '.join(killed)}")
        self._children.clear()


def wait_ready(admin_ports: Mapping[str, int], supervisor: Supervisor, timeout_s: float) -> None:
    """Returns when every service answers /readyz. Raises RingBroken where one died, SetupError where time ran out."""
    waiting = dict(admin_ports)
    deadline = time.monotonic() + timeout_s
    while True:
        supervisor.check()
        # A very short game can be over by then, and a finished service no longer answers.
        unfinished = {name: port for name, port in waiting.items() if supervisor.status(name) != 0}
        missing = {name: what for name, port in unfinished.items() if (what := not_ready(port)) is not None}
        if not missing:
            return
        waiting = {name: waiting[name] for name in missing}
        if time.monotonic() > deadline:
            state = "; ".join(f"{name}: {what}" for name, what in missing.items())
            raise SetupError(f"after {timeout_s:.0f} s not everything is ready ({state}); look into the run's logs")
        time.sleep(READY_POLL_S)


def not_ready(admin_port: int) -> str | None:
    """What the service on this machine with this admin port still waits for; None where it is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", admin_port, timeout=ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said = answer.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException):
        return "no answer yet"
    finally:
        connection.close()
    return None if answer.status == http.client.OK else said
