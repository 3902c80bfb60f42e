"""A game that is saved and put back is the game that it was."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from harden.domain.bout import RecordedAttack, Role
from harden.domain.errors import SetupError
from harden.trainer.core.ledger import End
from harden.trainer.game.checkpoint import Checkpoints
from harden.trainer.game.state import Game
from harden.trainer.game.tasks.cross_play import CrossPlay
from harden.trainer.game.tasks.learn import Learn
from harden.trainer.game.tasks.monitor import Monitor
from harden.trainer.game.trainer import Trainer
from tests.support.answering import AnsweringBus
from tests.support.game import SEEDS, a_game, a_trainer, an_experiment


def shown(game: Game) -> dict[str, Any]:
    """All of it that can be compared."""
    return {
        "run": game.run_id,
        "players": {role: (player.to_json(), player.state_stamp) for role, player in game.players.items()},
        "weights": {role: player.learner.weights()["policy"].tolist() for role, player in game.players.items()},
        "steps": {role: player.learner.step_count for role, player in game.players.items()},
        "pool": game.pool.to_json(),
        "records": game.records.rounds,
        "ledger": game.ledger.to_json(),
        "history": game.history,
        "scheduled": game.scheduled,
        "attacks": game.attacks_by_round,
        "good round": game.good_round,
        "saved": {name: (weights.stamp, weights.path.read_bytes()) for name, weights in game.saved.items()},
        "seconds": game.play_seconds,
    }


def played_to(directory: Path, bus: AnsweringBus, kind: type) -> Trainer:
    trainer = a_trainer(directory, bus)
    trainer.run(until=lambda task: isinstance(task, kind))
    return trainer


@pytest.mark.parametrize("kind", [Learn, Monitor, CrossPlay])
def test_a_game_put_back_is_the_same_game(tmp_path: Path, kind: type) -> None:
    bus = AnsweringBus()
    before = shown(played_to(tmp_path, bus, kind).context.game)
    assert shown(a_trainer(tmp_path, bus).context.game) == before


def test_the_offsets_are_those_that_were_saved(tmp_path: Path) -> None:
    bus = AnsweringBus()
    ring = played_to(tmp_path, bus, Monitor).context.ring
    game = a_game(tmp_path, an_experiment())
    assert game.restore(Checkpoints(tmp_path / "run")) == ring.offsets()
    assert sum(ring.offsets().values()) > 0


def test_a_new_run_has_nothing_to_put_back(tmp_path: Path) -> None:
    game = a_game(tmp_path, an_experiment())
    assert game.restore(Checkpoints(tmp_path / "run")) is None
    assert shown(game) == shown(a_game(tmp_path, an_experiment()))


def test_bouts_that_are_open_and_pooled_attacks_are_saved(tmp_path: Path) -> None:
    game = a_game(tmp_path, an_experiment())
    game.ledger.schedule(["open", "ended"], 3)
    game.ledger.end("ended", End.DROPPED, "stale")
    game.scheduled["round-3/defender/step-0"] = ["open"]
    game.attacks_by_round[2] = [[SEEDS["harmful"][0].seed_id, "text", "family"]]
    game.pool.add([(SEEDS["harmful"][0], RecordedAttack("text", "family", None))])
    game.good_round, game.play_seconds = 2, 1.5
    checkpoints = Checkpoints(tmp_path / "run")
    game.save(checkpoints, {})
    back = a_game(tmp_path, an_experiment())
    assert back.restore(checkpoints) == {}
    assert shown(back) == shown(game)
    assert back.ledger.end("open", End.TRAINED)


def test_the_remembered_defenders_come_back_from_the_checkpoint_alone(tmp_path: Path) -> None:
    """What lies beside the checkpoints is a convenience: a checkpoint is complete."""
    bus = AnsweringBus()
    before = shown(played_to(tmp_path, bus, Monitor).context.game)
    shutil.rmtree(tmp_path / "run" / "trainers")
    assert shown(a_trainer(tmp_path, bus).context.game) == before


def test_what_was_remembered_after_the_checkpoint_is_forgotten(tmp_path: Path) -> None:
    """A process killed between the two plays the task again, and must not take what that task had remembered for good."""
    bus = AnsweringBus()
    trainer = played_to(tmp_path, bus, Monitor)
    before = shown(trainer.context.game)
    assert before["saved"]["good"][0] == "first"
    trainer.context.game.remember_defender("good", "round-1")
    back = a_trainer(tmp_path, bus).context.game
    assert shown(back) == before
    assert [path.name for path in back.remembered.glob("good.*")] == ["good.first"]


def test_one_state_is_remembered_under_each_name(tmp_path: Path) -> None:
    game = a_game(tmp_path, an_experiment())
    for stamp in ("first", "round-1", "round-2"):
        game.remember_defender("good", stamp)
    game.remember_defender("first", "first")
    assert sorted(path.name for path in game.remembered.iterdir()) == ["first.first", "good.round-2"]


def test_a_learner_that_went_back_is_saved_as_it_is_now(tmp_path: Path) -> None:
    """The number of updates is the same before and after, the state is not."""
    bus = AnsweringBus()
    trainer = played_to(tmp_path, bus, Monitor)
    game, checkpoints = trainer.context.game, Checkpoints(tmp_path / "run")
    defender = game.players[Role.DEFENDER]
    moved = defender.learner.weights()["policy"].tolist()
    defender.load(game.saved["first"].path)
    game.save(checkpoints, trainer.context.ring.offsets())
    back = a_game(tmp_path, an_experiment())
    back.restore(checkpoints)
    learner = back.players[Role.DEFENDER].learner
    assert learner.weights()["policy"].tolist() == [0.0, 0.0] != moved
    assert back.players[Role.DEFENDER].updates == 2


def test_another_experiment_is_refused_before_anything_is_put_back(tmp_path: Path) -> None:
    played_to(tmp_path, AnsweringBus(), Monitor)
    other = a_game(tmp_path, an_experiment(measure={"seeds": 3, "attacks_per_seed": 2}))
    fresh = shown(a_game(tmp_path, an_experiment()))
    with pytest.raises(SetupError, match=r"measure.seeds was 2 and is 3"):
        other.restore(Checkpoints(tmp_path / "run"))
    assert shown(other) == fresh


def test_more_rounds_and_other_timeouts_are_no_other_experiment(tmp_path: Path) -> None:
    bus = AnsweringBus()
    before = shown(played_to(tmp_path, bus, Monitor).context.game)
    longer = a_game(tmp_path, an_experiment(schedule={"rounds": 5, "bout_timeout_s": 7.0, "in_flight_steps": 0}))
    assert longer.restore(Checkpoints(tmp_path / "run")) is not None
    assert shown(longer) == before


def test_what_is_large_lies_beside_the_state(tmp_path: Path) -> None:
    played_to(tmp_path, AnsweringBus(), Monitor)
    newest = Checkpoints(tmp_path / "run").newest()
    assert newest is not None
    assert {path.name for path in newest[1].iterdir()} == {"state.json", "attacker", "defender", "first", "good"}
