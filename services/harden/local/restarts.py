"""Decides whether a process that died is restarted. Pure."""

from collections.abc import Sequence

# Exit statuses of a service (see harden.runtime.process) after which a restart would end the same way.
EXIT_SETUP = 2
EXIT_FENCED = 3
MAX_RESTARTS = 3
WINDOW_S = 60.0


def decide(status: int, earlier_deaths: Sequence[float], now: float) -> tuple[bool, str]:
    """Whether to start it again, and why not: (may, reason). `earlier_deaths` are the times of this process's former ends."""
    if status == EXIT_SETUP:
        return False, "it reports an error in the setup that has to be fixed first"
    if status == EXIT_FENCED:
        return False, "another process has taken its place"
    recent = [died_at for died_at in earlier_deaths if now - died_at < WINDOW_S]
    if len(recent) >= MAX_RESTARTS:
        return False, f"it has ended {len(recent) + 1} times within {WINDOW_S:.0f} s"
    return True, ""


def describe(status: int) -> str:
    """An exit status as text."""
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
