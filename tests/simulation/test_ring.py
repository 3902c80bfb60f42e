"""A whole game under faults: no schedule breaks what has to be true, and planted bugs do."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from harden.bus.ports import Partition
from harden.store.policy_log import PolicyLog
from harden.trainer.game.checkpoint import Checkpoints
from harden.trainer.ring import Ring
from tests.simulation import ring
from tests.simulation.faults import from_json
from tests.simulation.hunt import first_broken

# `make simulate ARGS=ring` plays more.
SEEDS = range(10)
FOUND = sorted((Path(__file__).parent / "found").glob("ring-*.json"))


def test_no_schedule_breaks_anything() -> None:
    seed = first_broken("ring", SEEDS)
    assert seed is None, f"seed {seed}: {ring.play(seed, ring.draw(seed)).broken}"


def test_what_was_found_once_stays_mended() -> None:
    for path in FOUND:
        seed, faults = from_json(path.read_text())
        assert ring.play(seed, faults).broken == [], path.name


def test_a_game_is_played_alike_again() -> None:
    assert ring.play(1, ring.draw(1)).digest == ring.play(1, ring.draw(1)).digest


def begins_after_what_was_polled(patch: pytest.MonkeyPatch) -> None:
    """A checkpoint that passes verdicts which wait for their step: nobody reads them again."""

    def offsets(self: Ring) -> Mapping[Partition, int]:
        return dict(self._reader.position())

    patch.setattr(Ring, "offsets", offsets)


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


@pytest.mark.parametrize(
    ("plant", "seeds"),
    # Seeds that meet the moment: the first one is rare, about one in thirty.
    [(begins_after_what_was_polled, (40, 65)), (numbers_from_its_own_memory, range(10))],
)
def test_a_planted_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], seeds: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert any(ring.play(seed, ring.draw(seed)).broken for seed in seeds)


def test_the_bug_that_was_found_is_found_again_where_it_is_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    shares_the_run_with_whoever_is_there(monkeypatch)
    assert FOUND
    assert all(ring.play(*from_json(path.read_text())).broken for path in FOUND)
