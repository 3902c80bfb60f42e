"""Plays one experiment on a ring from start to report: claims the directory, watches, measures, and always stops the ring."""

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from harden.bus.ports import Bus
from harden.cli.report import read_kept, write_report
from harden.cli.reporting.recorded import Recorded, read_run
from harden.cli.reporting.schema import SCHEMA, Components, Report
from harden.domain.errors import SetupError
from harden.local import progress as progress_file
from harden.local.interrupts import Interrupts
from harden.local.progress import Display
from harden.local.rundir import LocalRun
from harden.local.supervisor import RingBroken
from harden.trainer import experiment as experiments
from harden.trainer.experiment import Experiment
from harden.trainer.game.checkpoint import Checkpoints

WATCH_EVERY_S = 0.2
# The trainer's first phase, in which no bout is played.
FIRST_PHASE = "start"


@dataclass(frozen=True, slots=True)
class Plan:
    """The experiment to play, its directory, and how the report says it was started."""

    experiment: Experiment
    run: LocalRun
    replicas: Mapping[str, int]
    install_s: float
    command: str
    # Goes on with what the run's directory holds, instead of beginning anew there.
    resume: bool = False
    in_process: bool = False


class Ring(Protocol):
    """A ring that plays. Entering it starts everything, leaving it stops everything."""

    def is_playing(self) -> bool:
        """Looks after its parts. Raises RingBroken where one is lost for good."""
        ...

    def components(self) -> Components: ...

    @property
    def bus(self) -> Bus:
        """Where its events are, as long as it runs."""
        ...


StartRing = Callable[[Plan, Callable[[str], None], Interrupts], AbstractContextManager[Ring]]


@dataclass
class Stopwatch:
    """Seconds of each phase, one after the other."""

    clock: Callable[[], float] = time.monotonic
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.began = self._last = self.clock()

    def ends(self, phase: str) -> None:
        now = self.clock()
        self.seconds[phase] = round(now - self._last, 3)
        self._last = now


def play(plan: Plan, display: Display, start_ring: StartRing, interrupts: Interrupts) -> Report:
    """The report of the run. Raises SetupError and Interrupted after everything is stopped and the run's files say why."""
    watch = Stopwatch()
    with plan.run.claimed(resume=plan.resume, in_process=plan.in_process):
        if plan.resume:
            _refuse_changed(plan)
        plan.run.write_text("experiment.yaml", experiments.dump(plan.experiment))
        account = _Account(plan, watch)
        recorded: Recorded | None = None
        try:
            with start_ring(plan, display.say, interrupts) as ring:
                account.components = ring.components()
                watch.ends("start")
                _watch(plan, display, ring, watch)
                # Read while the broker runs: starting one again on its data takes seconds.
                recorded = read_run(ring.bus, plan.experiment)
                display.say("played; stopping everything")
            watch.ends("stop")
            interrupts.raise_if_received()
        except RingBroken as error:
            account.failed = str(error)
        except SetupError as error:
            account.failed = str(error)
            raise
        except KeyboardInterrupt:
            account.failed = "interrupted"
            raise
        finally:
            with interrupts.shield():
                account.write()
        return write_report(plan.run, recorded or _left_behind(plan.run))


def _left_behind(run: LocalRun) -> Recorded:
    """The records of a ring that failed; empty where it failed before it had a log."""
    try:
        return read_kept(run)
    except SetupError:
        return Recorded()


def _refuse_changed(plan: Plan) -> None:
    """Before anything of the run is touched: see the trainer's own check, which knows no files of ours."""
    newest = Checkpoints(plan.run.root).newest()
    assert newest is not None, "a run is claimed to go on only where it has a checkpoint"
    experiments.refuse_changed(newest[0]["experiment"], plan.experiment.model_dump(mode="json"))
    plan.run.forget_how_it_ended()


def _watch(plan: Plan, display: Display, ring: Ring, watch: Stopwatch) -> None:
    """Until the trainer has ended."""
    try:
        while ring.is_playing():
            current = progress_file.read(plan.run.root)
            if current is not None:
                if current.phase != FIRST_PHASE and "prepare" not in watch.seconds:
                    watch.ends("prepare")
                display.show(current)
            time.sleep(WATCH_EVERY_S)
    finally:
        watch.ends("play" if "prepare" in watch.seconds else "prepare")


@dataclass
class _Account:
    """What only we know of the run, kept in supervisor.json for this report and every later one."""

    plan: Plan
    watch: Stopwatch
    components: Components = field(default_factory=Components)
    failed: str | None = None

    def write(self) -> None:
        total = self.plan.install_s + self.watch.clock() - self.watch.began
        seconds = {"install": round(self.plan.install_s, 3), **self.watch.seconds, "total": round(total, 3)}
        self.plan.run.write(
            "supervisor.json",
            {
                "schema": SCHEMA,
                "seed": self.plan.experiment.seed,
                "failed": self.failed,
                "seconds": seconds,
                "components": self.components.model_dump(),
                "made_by": {
                    "command": self.plan.command,
                    "experiment": self.plan.experiment.name,
                    "machine": _machine(),
                },
            },
        )


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def library_versions() -> dict[str, str]:
    """Of what the models run on, without importing it."""
    return {name: importlib.metadata.version(name) for name in ("torch", "transformers")}
