"""The state of a game: the content of a checkpoint, saved and restored."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harden.bus.ports import Partition
from harden.domain.bout import Role
from harden.trainer.core.history import Finished
from harden.trainer.core.ledger import Ledger
from harden.trainer.core.replay import ReplayPool
from harden.trainer.experiment import refuse_changed
from harden.trainer.game.checkpoint import Checkpoints, Part
from harden.trainer.game.player import Player
from harden.trainer.game.records import Records
from harden.trainer.publisher import Swaps


@dataclass(frozen=True, slots=True)
class SavedWeights:
    """A saved state of a learner for rollbacks; `stamp` identifies it."""

    stamp: str
    path: Path

    def link(self, path: Path) -> None:
        os.link(self.path, path)


@dataclass
class Game:
    run_id: str
    experiment: Mapping[str, Any]  # as JSON
    players: dict[str, Player]  # by role; a side game's by its name, as long as it is played
    new_player: Callable[[str], Player]  # makes the player of a side game
    pool: ReplayPool
    records: Records
    remembered: Path  # directory of the states in `saved`, on the file system of the checkpoints
    ledger: Ledger = field(default_factory=Ledger)
    history: list[Finished] = field(default_factory=list)
    # task key of a step -> its bouts, sent while an earlier step was learned from
    scheduled: dict[str, list[str]] = field(default_factory=dict)
    # round -> [seed id, attack text, family] of the attacker that began it, for cross-play
    attacks_by_round: dict[int, list[list[str]]] = field(default_factory=dict)
    good_round: int = 0
    saved: dict[str, SavedWeights] = field(default_factory=dict)  # "first", "good": the defender's
    play_seconds: float = 0.0
    swaps: Swaps = field(default_factory=Swaps)  # of the round so far

    def open_side_game(self, name: str) -> Player:
        """A new player, beside those of the game."""
        self.players[name] = player = self.new_player(name)
        return player

    def close_side_game(self, name: str) -> None:
        del self.players[name]

    def remember_defender(self, name: str, stamp: str) -> None:
        path = self._room_for(name, stamp)
        self.players[Role.DEFENDER].learner.save_state(path)
        self.saved[name] = SavedWeights(stamp, path)

    def _room_for(self, name: str, stamp: str) -> Path:
        """The path for a new state of this name; the previous one is dropped."""
        self.remembered.mkdir(parents=True, exist_ok=True)
        for old in self.remembered.glob(f"{name}.*"):
            old.unlink()
        return self.remembered / f"{name}.{stamp}"

    def save(self, checkpoints: Checkpoints, offsets: Mapping[Partition, int], *, log_bytes: int | None = None) -> None:
        state: dict[str, Any] = {
            "run_id": self.run_id,
            "experiment": self.experiment,
            "history": [[done.key, done.outcome] for done in self.history],
            "offsets": [[partition.topic, partition.number, offset] for partition, offset in offsets.items()],
            "players": {name: player.to_json() for name, player in self.players.items()},
            "pool": self.pool.to_json(),
            "records": self.records.rounds,
            "ledger": self.ledger.to_json(),
            "scheduled": self.scheduled,
            "attacks_by_round": {str(r): attacks for r, attacks in self.attacks_by_round.items()},
            "good_round": self.good_round,
            "saved": {name: weights.stamp for name, weights in self.saved.items()},
            "play_seconds": self.play_seconds,
            "swaps": self.swaps.to_checkpoint(),
            "log_bytes": log_bytes,
        }
        parts = {name: Part(player.state_stamp, player.learner.save_state) for name, player in self.players.items()}
        parts |= {name: Part(weights.stamp, weights.link) for name, weights in self.saved.items()}
        checkpoints.save(state, parts)

    def restore(self, checkpoints: Checkpoints) -> dict[Partition, int] | None:
        """Puts everything back as the newest checkpoint has it; returns its offsets, None where there is no checkpoint.

        SetupError where the run began with another experiment.
        """
        newest = checkpoints.newest()
        if newest is None:
            return None
        state, directory = newest
        refuse_changed(state["experiment"], self.experiment)
        checkpoints.check(state, directory)
        for name, data in state["players"].items():
            player = self.players.get(name) or self.open_side_game(name)
            player.restore(data)
            player.learner.load_state(directory / name)
        self.history = [Finished(key, outcome) for key, outcome in state["history"]]
        self.pool.restore(state["pool"])
        self.records.rounds = state["records"]
        self.ledger.restore(state["ledger"])
        self.scheduled = dict(state["scheduled"])
        self.attacks_by_round = {int(r): attacks for r, attacks in state["attacks_by_round"].items()}
        self.good_round = state["good_round"]
        for name, stamp in state["saved"].items():
            path = self._room_for(name, stamp)
            os.link(directory / name, path)
            self.saved[name] = SavedWeights(stamp, path)
        self.play_seconds = state["play_seconds"]
        self.swaps = Swaps.from_checkpoint(state.get("swaps"))
        return {Partition(topic, number): offset for topic, number, offset in state["offsets"]}
