"""The state of a game: everything a checkpoint holds, and how it goes there and comes back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harden.bus.ports import Place
from harden.domain.bout import Role
from harden.trainer.checkpoint import Checkpoints, Part
from harden.trainer.core.ledger import Ledger
from harden.trainer.core.replay import ReplayPool
from harden.trainer.player import Player
from harden.trainer.records import Records

ATTACKER, DEFENDER = Role.ATTACKER, Role.DEFENDER


@dataclass(frozen=True, slots=True)
class SavedWeights:
    """A learner's state at a moment worth going back to; `stamp` names the moment."""

    stamp: str
    data: bytes

    def read(self) -> bytes:
        return self.data


@dataclass
class Game:
    run_id: str
    sides: Mapping[Role, Player]
    pool: ReplayPool
    records: Records
    ledger: Ledger = field(default_factory=Ledger)
    position: int = 0  # index of the next task
    # task index -> bouts of that step, sent while an earlier step was learned from
    scheduled: dict[int, list[str]] = field(default_factory=dict)
    # round -> [seed id, attack text, family] of the attacker that began it, for the matrix
    attacks_by_round: dict[int, list[list[str]]] = field(default_factory=dict)
    good_round: int = 0
    saved: dict[str, SavedWeights] = field(default_factory=dict)  # "first", "good": the defender's
    play_seconds: float = 0.0

    def remember_defender(self, name: str, stamp: str) -> None:
        self.saved[name] = SavedWeights(stamp, self.sides[DEFENDER].learner.save_state())

    def save(self, checkpoints: Checkpoints, offsets: Mapping[Place, int]) -> None:
        state: dict[str, Any] = {
            "run_id": self.run_id,
            "position": self.position,
            "offsets": [[place.topic, place.partition, offset] for place, offset in offsets.items()],
            "sides": {role.value: side.to_json() for role, side in self.sides.items()},
            "pool": self.pool.to_json(),
            "records": self.records.rounds,
            "ledger": self.ledger.to_json(),
            "scheduled": {str(index): bout_ids for index, bout_ids in self.scheduled.items()},
            "attacks_by_round": {str(r): attacks for r, attacks in self.attacks_by_round.items()},
            "good_round": self.good_round,
            "saved": {name: weights.stamp for name, weights in self.saved.items()},
            "play_seconds": self.play_seconds,
        }
        parts = {role.value: Part(str(side.state_stamp), side.learner.save_state) for role, side in self.sides.items()}
        parts |= {name: Part(weights.stamp, weights.read) for name, weights in self.saved.items()}
        checkpoints.save(state, parts)

    def restore(self, checkpoints: Checkpoints) -> dict[Place, int] | None:
        """Puts everything back as the newest checkpoint has it; returns its offsets, None where there is no checkpoint."""
        newest = checkpoints.newest()
        if newest is None:
            return None
        state, directory = newest
        for role, side in self.sides.items():
            side.restore(state["sides"][role.value])
            side.learner.load_state((directory / role.value).read_bytes())
        self.position = state["position"]
        self.pool.restore(state["pool"])
        self.records.rounds = state["records"]
        self.ledger.restore(state["ledger"])
        self.scheduled = {int(index): bout_ids for index, bout_ids in state["scheduled"].items()}
        self.attacks_by_round = {int(r): attacks for r, attacks in state["attacks_by_round"].items()}
        self.good_round = state["good_round"]
        self.saved = {name: SavedWeights(stamp, (directory / name).read_bytes()) for name, stamp in state["saved"].items()}
        self.play_seconds = state["play_seconds"]
        return {Place(topic, partition): offset for topic, partition, offset in state["offsets"]}
