"""The worlds a game can be played in. The arena is the only one so far; nothing else in the trainer names it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harden.domain.errors import SetupError
from harden.domain.game import AnchorSource, ImageRenderer
from harden.trainer.core.plan import Suite
from harden.trainer.experiment import Experiment, PolicySource
from harden.worlds.arena.adapters import ArenaAnchors, ArenaImages, ArenaSuites

_ARENA = "arena:"
_ASSETS = Path(__file__).resolve().parents[3] / "shared" / "harden" / "worlds" / "arena" / "assets"


@dataclass(frozen=True, slots=True)
class World:
    suites: Sequence[Suite]
    suites_between: Sequence[Suite]  # after rounds that are neither the first nor the last
    anchors: AnchorSource
    images: ImageRenderer


def world_of(experiment: Experiment) -> World:
    by_name: dict[str, Callable[[], World]] = {"arena": lambda: _arena(experiment)}
    return by_name[experiment.world]()


def _arena(experiment: Experiment) -> World:
    rows, between = experiment.evaluation.rows, experiment.evaluation.rows_between
    suites = _arena_suites(rows)
    return World(suites, _arena_suites(between) if between else suites, ArenaAnchors(), ArenaImages())


def _arena_suites(rows: int) -> list[Suite]:
    # The same questions in every run, whatever its seed: runs are compared on them.
    source = ArenaSuites(rows=rows)
    return [Suite(name, source.cases(name), source.measures(name)) for name in source.suites()]


def directory_of(source: PolicySource) -> Path:
    """Where a policy starts from. Raises SetupError where that is no model directory."""
    if source.directory.startswith(_ARENA):
        directory = _ASSETS / source.directory.removeprefix(_ARENA)
    else:
        directory = Path(source.directory)
    if not (directory / "config.json").is_file():
        known = sorted(path.name for path in _ASSETS.glob("*") if path.is_dir())
        raise SetupError(
            f"{source.directory} is no Hugging Face model directory (no config.json in {directory}); "
            f"give one, or {', '.join(_ARENA + name for name in known)}"
        )
    return directory
