"""Shows the progress of a run: two live lines on a terminal, a plain line every few seconds elsewhere."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harden.trainer.game.rundir import Progress

# Elsewhere than on a terminal a line for every change would bury the log it lands in.
PLAIN_EVERY_S = 5.0
# Below this share the time left is a guess that would only mislead.
MIN_SHARE_FOR_ESTIMATE = 0.03
PHASES = {
    "start": "the first policies are published and served",
    "defender": "the defender learns",
    "attacker": "the attacker learns",
    "evaluate": "measuring",
    "best_response": "a fresh attacker against the last defender",
    "side_run": "the quality monitor's side run",
    "cross_play": "every attacker against every defender",
    "done": "done",
}


class Display(Protocol):
    """Shows where a run stands, and lines of their own between."""

    def say(self, line: str) -> None: ...

    def show(self, progress: Progress) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


def display_for(stream: TextIO | None = None) -> Display:
    """For stderr where no stream is named."""
    stream = stream or sys.stderr
    return LiveDisplay(stream) if stream.isatty() else PlainDisplay(stream)


def read(run_dir: Path) -> Progress | None:
    """The newest progress that the trainer wrote; None before the first."""
    try:
        return Progress(**json.loads((run_dir / "progress.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def describe(progress: Progress) -> str:
    """One line: phase, round and step, what is in flight, attack success so far."""
    parts = [PHASES.get(progress.phase, progress.phase)]
    if progress.rounds and progress.phase not in ("start", "done"):
        parts.insert(0, f"round {progress.round} of {progress.rounds}")
    if progress.steps:
        parts.append(f"step {progress.step} of {progress.steps}")
    if progress.in_flight:
        parts.append(f"{progress.in_flight} bouts in flight")
    if progress.attack_success is not None:
        parts.append(f"attack success {100 * progress.attack_success:.0f}%")
    if progress.message:
        parts.append(progress.message)
    return ", ".join(parts)


def _share(fraction_done: float | None) -> str:
    return "" if fraction_done is None else f"{100 * fraction_done:.0f}%"


class TimeLeft:
    """Estimates the time left from the pace since the first progress, so that startup does not count."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None

    def text(self, fraction_done: float | None, now: float) -> str:
        """Empty while there is too little progress for an estimate, and where the game has no end."""
        if fraction_done is None:
            return ""
        if self._first is None:
            self._first = (fraction_done, now)
        done, elapsed = fraction_done - self._first[0], now - self._first[1]
        if done < MIN_SHARE_FOR_ESTIMATE or fraction_done >= 1:
            return ""
        left = elapsed * (1 - fraction_done) / done
        return f"about {left:.0f} s left" if left < 90 else f"about {left / 60:.0f} min left"


class PlainDisplay:
    """Lines only: one at every change of phase or round, and one every few seconds between."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._began = clock()
        self._last_at = -PLAIN_EVERY_S
        self._last: tuple[str, int] | None = None
        self._last_line = ""
        self._time_left = TimeLeft()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def say(self, line: str) -> None:
        print(f"[{self._clock() - self._began:6.1f} s] {line}", file=self._stream, flush=True)

    def show(self, progress: Progress) -> None:
        now, what, line = self._clock(), (progress.phase, progress.round), describe(progress)
        left = self._time_left.text(progress.fraction_done, now)
        is_due = what != self._last or (now - self._last_at >= PLAIN_EVERY_S and line != self._last_line)
        if is_due:
            self._last, self._last_at, self._last_line = what, now, line
            self.say(f"{_share(progress.fraction_done):>4}  {line}{f', {left}' if left else ''}")


class LiveDisplay:
    """Two lines that stay at the bottom of the terminal, below all other output."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._progress: Progress | None = None
        self._time_left = TimeLeft()
        self._live = Live(console=Console(file=stream), refresh_per_second=4, transient=True, get_renderable=self._render)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, line: str) -> None:
        self._live.console.print(Text(line))

    def show(self, progress: Progress) -> None:
        self._progress = progress

    def _render(self) -> Group:
        elapsed = self._clock() - self._began
        if self._progress is None:
            return Group(Text(f"starting ... {elapsed:.0f} s", style="dim"))
        done = self._progress.fraction_done
        bar = Table.grid(padding=(0, 1))
        left = self._time_left.text(done, self._clock())
        bar.add_row(
            ProgressBar(total=None if done is None else 1.0, completed=done or 0.0, width=40),
            Text(f"{_share(done)}  {elapsed:.0f} s{f', {left}' if left else ''}"),
        )
        return Group(bar, Text(describe(self._progress), overflow="ellipsis", no_wrap=True))
