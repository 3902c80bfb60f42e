"""The trainer's loop: everything is saved after each task, so a process killed anywhere loses no more than one."""

import operator
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harden.domain.bout import Bout, Purpose, Role
from harden.domain.events import Fact
from harden.domain.round import CrossPlayFinished, RoundFinished, SideRunFinished
from harden.topics import BOUTS, ROUNDS, STEPS
from harden.trainer.game.checkpoint import Checkpoints
from harden.trainer.game.tasks.learn import Learn
from harden.trainer.game.tasks.monitor import Monitor
from harden.trainer.game.tasks.publish import IN_PHASE, Publish
from harden.trainer.game.trainer import Trainer
from harden.trainer.inbox import Stopped
from tests.support.answering import AnsweringBus, KilledError, played
from tests.support.clock import Impatient
from tests.support.game import a_trainer


def keys(trainer: Trainer) -> list[str]:
    return [done.key for done in trainer.context.game.history]


def what_came_of(trainer: Trainer) -> dict[str, Any]:
    """What a game leaves, but for the versions of policies and how long anything took."""
    game = trainer.context.game
    rounds = {
        number: {key: value for key, value in record.items() if key not in ("swaps", "evaluation_seconds")}
        for number, record in game.records.rounds.items()
    }
    return {
        "tasks": [(done.key, {k: v for k, v in done.outcome.items() if k != "version"}) for done in game.history],
        "weights": {role: player.learner.weights()["policy"].tolist() for role, player in game.players.items()},
        "steps": {role: player.learner.step_count for role, player in game.players.items()},
        "updates": {role: player.updates for role, player in game.players.items()},
        "by round": {
            role: {r: one.policy.digest for r, one in player.by_round.items()} for role, player in game.players.items()
        },
        "rounds": rounds,
        "pool": game.pool.families(),
        "open": game.ledger.num_open(),
    }


def test_every_task_is_saved_when_it_is_done(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path, AnsweringBus())
    done: list[str] = []

    def look(task: Any) -> bool:
        newest = Checkpoints(tmp_path / "run").newest()
        assert [key for key, _ in (newest[0]["history"] if newest else [])] == done
        done.append(task.key)
        return False

    trainer.run(until=look)
    assert keys(trainer) == done
    assert trainer.next_task is None


def test_a_game_is_played_until_the_task_asked_for(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path, AnsweringBus())
    trainer.run(until=lambda task: isinstance(task, Monitor))
    assert trainer.next_task == Monitor(1)
    assert "round-1/monitor" not in keys(trainer)


def test_a_whole_game_accounts_for_every_bout_and_tells_everything(tmp_path: Path) -> None:
    bus = AnsweringBus()
    trainer = a_trainer(tmp_path, bus)
    trainer.run()
    game = trainer.context.game
    assert game.ledger.num_open() == 0
    account = game.ledger.account(1)
    assert (account.scheduled, account.trained) == (2 * 4 + 2, 2 * 4 + 2)
    assert {name: player.updates for name, player in game.players.items()} == {"defender": 2, "attacker": 1}
    kinds = [type(fact) for fact in bus.facts(ROUNDS)]
    assert kinds == [RoundFinished, RoundFinished, SideRunFinished, CrossPlayFinished]
    assert len(bus.facts(STEPS)) == 4
    assert game.scheduled == {}


def test_a_trainer_started_again_at_the_end_has_nothing_to_do(tmp_path: Path) -> None:
    bus = AnsweringBus()
    first = a_trainer(tmp_path, bus)
    first.run()
    sent = bus.num_sends
    second = a_trainer(tmp_path, bus)
    second.run()
    assert bus.num_sends == sent
    assert what_came_of(second) == what_came_of(first)


def test_a_game_whose_trainer_is_killed_after_everything_it_sends_ends_as_one_that_nobody_hurt(tmp_path: Path) -> None:
    """Killed once the log has it and before the process knows: the task is played again, and everything comes out the same."""
    unhurt = a_trainer(tmp_path / "unhurt", AnsweringBus())
    unhurt.run()
    bus = AnsweringBus()
    trainer = a_trainer(tmp_path / "hurt", bus)
    kills: Counter[str] = Counter()
    while (task := trainer.next_task) is not None:
        bus.dies_after = bus.num_sends + 1 + kills[task.key]
        try:
            trainer.run(until=partial(operator.ne, task))
        except KilledError:
            kills[task.key] += 1
            trainer = a_trainer(tmp_path / "hurt", bus)
            assert trainer.next_task == task
    assert kills.keys() == set(keys(unhurt)), "every task sends something"
    assert what_came_of(trainer) == what_came_of(unhurt)


def test_a_trainer_asked_to_stop_in_a_task_leaves_the_checkpoint_before_it(tmp_path: Path) -> None:
    bus, stop = AnsweringBus(), Impatient()
    trainer = a_trainer(tmp_path, bus, stop=stop)
    trainer.run(until=lambda task: isinstance(task, Learn))
    before = keys(trainer)

    def stopping(bout: Bout) -> list[Fact]:
        stop.set()
        return []

    bus.answers = stopping
    with pytest.raises(Stopped):
        trainer.run()
    bus.answers = lambda bout: [played(bout)]
    again = a_trainer(tmp_path, bus)
    assert keys(again) == before
    assert again.context.game.players[Role.DEFENDER].updates == 0
    again.run()
    assert again.context.game.ledger.account(1).trained == 10


@pytest.mark.parametrize("in_flight", [0, 1, 5])
def test_the_bouts_of_steps_ahead_are_on_the_ring_while_a_step_learns(tmp_path: Path, in_flight: int) -> None:
    bus = AnsweringBus()
    trainer = a_trainer(tmp_path, bus, schedule={"in_flight_steps": in_flight, "publish_every": 2})
    trainer.run(until=lambda task: isinstance(task, Learn))
    step = trainer.next_task
    assert isinstance(step, Learn)
    trainer.schedule_ahead(step)
    steps = {bout.step for bout in bus.facts(BOUTS) if isinstance(bout, Bout) and bout.purpose is Purpose.TRAIN}
    assert steps == set(range(min(in_flight + 1, step.of)))
    sends = bus.num_sends
    trainer.schedule_ahead(step)
    assert bus.num_sends == sends, "what is on the ring is not sent again"
    trainer.run()
    assert trainer.context.game.ledger.account(1).trained == 10


def test_a_step_ahead_waits_for_no_publication(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path, AnsweringBus())
    trainer.run(until=lambda task: isinstance(task, Publish) and task.reason == IN_PHASE)
    assert list(trainer.context.game.scheduled) == ["round-1/defender/step-1"]
