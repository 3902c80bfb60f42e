"""What becomes of a run, however it ends."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harden.bus.memory import MemoryBus
from harden.cli.demo import DEMO, with_changes
from harden.cli.reporting.schema import Components
from harden.domain.bout import Role
from harden.domain.errors import SetupError
from harden.domain.round import RoundFinished, RunFinished
from harden.local.interrupts import Interrupted, Interrupts
from harden.local.play import Plan, Ring, play
from harden.local.progress import PlainDisplay
from harden.local.rundir import LocalRun
from harden.local.supervisor import RingBroken
from harden.trainer import experiment as experiments
from harden.trainer.experiment import run_id_of
from tests.support import facts
from tests.support.wire import sent

PROGRESS = {
    "phase": "defender", "round": 1, "rounds": 1, "step": 1, "steps": 2,
    "in_flight": 0, "attack_success": None, "fraction_done": 0.5, "message": "",
}  # fmt: skip


@dataclass
class AGame:
    """A ring whose trainer leaves what a trainer leaves, and then does as `ends` says."""

    root: Path
    ends: Callable[[], None]
    is_stopped: bool = False
    bus: MemoryBus = field(default_factory=MemoryBus)
    turns: list[str] = field(default_factory=lambda: ["progress", "rounds", "end"])

    def __post_init__(self) -> None:
        self.bus.create_topics()

    def is_playing(self) -> bool:
        match self.turns.pop(0):
            case "progress":
                (self.root / "progress.json").write_text(json.dumps(PROGRESS))
            case "rounds":
                self._tell(facts.a_round(0))
            case "end":
                self.ends()
                self._tell(RunFinished("", 0, None, 1.0))
                return False
        return True

    def components(self) -> Components:
        return Components(kafka="4.1.1", processes=("one",))

    def _tell(self, fact: RoundFinished | RunFinished) -> None:
        told = replace(fact, run_id=run_id_of(experiments.load(DEMO)))
        self.bus.producer(client_id="test").send([sent(facts.an_event(told))])


def played(tmp_path: Path, ends: Callable[[], None]) -> tuple[AGame, Callable[[], object]]:
    run = LocalRun(tmp_path / "run")
    game = AGame(run.root, ends)
    plan = Plan(experiments.load(DEMO), run, {}, install_s=1.5, command="harden demo")

    @contextmanager
    def start(_plan: Plan, _say: Callable[[str], None], _interrupts: Interrupts) -> Iterator[Ring]:
        try:
            yield game
        finally:
            game.is_stopped = True

    def go() -> object:
        with (tmp_path / "out").open("w") as out, Interrupts() as interrupts:
            return play(plan, PlainDisplay(out), start, interrupts)

    return game, go


def supervisor_file(game: AGame) -> dict[str, object]:
    content: dict[str, object] = json.loads((game.root / "supervisor.json").read_text())
    return content


def test_a_run_that_plays_to_its_end_is_reported_with_its_times(tmp_path: Path) -> None:
    game, go = played(tmp_path, lambda: None)
    go()
    report = json.loads((game.root / "report.json").read_text())
    assert report["ok"] is True
    assert report["components"]["kafka"] == "4.1.1"
    assert report["seconds"]["install"] == 1.5
    assert report["seconds"]["total"] >= 1.5 + report["seconds"]["play"]
    assert game.is_stopped


def test_a_ring_that_breaks_is_stopped_and_reported_as_failed(tmp_path: Path) -> None:
    def breaks() -> None:
        raise RingBroken("judge was ended by signal 11")

    game, go = played(tmp_path, breaks)
    go()
    report = json.loads((game.root / "report.json").read_text())
    assert report["ok"] is False
    assert report["failed"] == "judge was ended by signal 11"
    assert game.is_stopped


def test_something_to_put_right_is_raised_after_everything_is_stopped(tmp_path: Path) -> None:
    def is_missing() -> None:
        raise SetupError("no Java")

    game, go = played(tmp_path, is_missing)
    with pytest.raises(SetupError, match="no Java"):
        go()
    assert game.is_stopped
    assert supervisor_file(game)["failed"] == "no Java"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_ring_and_is_told_on(number: signal.Signals, tmp_path: Path) -> None:
    game, go = played(tmp_path, lambda: os.kill(os.getpid(), number))
    with pytest.raises(Interrupted) as raised:
        go()
    assert raised.value.number == number
    assert game.is_stopped
    assert supervisor_file(game)["failed"] == "interrupted"


def test_what_must_come_to_its_end_is_not_interrupted() -> None:
    with Interrupts() as interrupts:
        with interrupts.shield():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted, match="SIGINT"):
            interrupts.raise_if_received()


def test_handlers_are_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts():
        pass
    assert signal.getsignal(signal.SIGINT) is before


def test_a_seed_rounds_and_a_world_on_the_command_line_are_checked_as_the_file_is() -> None:
    shipped = experiments.load(DEMO)
    changed = with_changes(shipped, 3, 1, "arena_b")
    assert (changed.seed, changed.schedule.rounds, changed.world) == (3, 1, "arena_b")
    assert changed.policy_source(Role.DEFENDER) == "arena_b:defender"
    assert with_changes(shipped, None, None) == shipped
    with pytest.raises(SetupError, match=r"--seed, --rounds and --world: world: .*atlantis"):
        with_changes(shipped, None, None, "atlantis")
