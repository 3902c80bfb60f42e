"""A whole game under faults: no schedule breaks what has to be true, and planted bugs do."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from harden.bus.ports import Partition
from harden.store.policy_log import PolicyLog
from harden.trainer.core.ledger import Ledger
from harden.trainer.game.checkpoint import Checkpoints
from harden.trainer.ring import Ring
from tests.simulation import ring
from tests.simulation.hunt import first_broken

# `make simulate ARGS=ring` plays more.
SEEDS = range(10)
# Of which one at least kills or replaces the trainer at a bad moment.
HUNTED = range(60)


def test_no_schedule_breaks_anything() -> None:
    seed = first_broken("ring", SEEDS)
    assert seed is None, f"seed {seed}: {ring.play(seed, ring.draw(seed)).broken}"


def test_a_game_is_played_alike_again() -> None:
    assert ring.play(1, ring.draw(1)).digest == ring.play(1, ring.draw(1)).digest


def begins_after_what_was_polled(patch: pytest.MonkeyPatch) -> None:
    """A checkpoint that passes verdicts which wait for their step: nobody reads them again."""

    def offsets(self: Ring) -> Mapping[Partition, int]:
        return dict(self._reader.position())

    patch.setattr(Ring, "offsets", offsets)


def forgets_which_bouts_have_ended(patch: pytest.MonkeyPatch) -> None:
    restore = Ledger.restore

    def forgetful(self: Ledger, data: Mapping[str, dict]) -> None:
        restore(self, {**data, "ended": {}})

    patch.setattr(Ledger, "restore", forgetful)


def numbers_from_its_own_memory(patch: pytest.MonkeyPatch) -> None:
    """Versions of a slot begin anew with each process."""
    patch.setattr(PolicyLog, "newest_version", lambda self, slot: 0)


def shares_the_run_with_whoever_is_there(patch: pytest.MonkeyPatch) -> None:
    """Two trainers, one of them long thought dead, write into one directory."""

    def take_over(self: Checkpoints) -> Path:
        self._own = self._trainers / "shared"
        self._own.mkdir(exist_ok=True)
        return self._own

    patch.setattr(Checkpoints, "take_over", take_over)
    patch.setattr(Checkpoints, "_check_owner", lambda self: None)


PLANTED = (
    begins_after_what_was_polled,
    forgets_which_bouts_have_ended,
    numbers_from_its_own_memory,
    shares_the_run_with_whoever_is_there,
)


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTED, ids=[plant.__name__ for plant in PLANTED])
def test_a_planted_bug_is_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    assert first_broken("ring", HUNTED) is not None
