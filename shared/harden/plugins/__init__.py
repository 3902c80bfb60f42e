"""Plug-ins: one file that adds a world, an attack strategy, a judge, an algorithm, an objective or a schedule.

A plug-in is an entry point of a group below. What ships with the product is found in the same way, so a distribution that
is installed beside it adds its own without touching a file of ours:

    [project.entry-points."harden.judges"]
    my_judge = "my_package.my_judge:MyJudge"
"""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from harden.domain.errors import SetupError

WORLDS = "harden.worlds"
STRATEGIES = "harden.strategies"
JUDGES = "harden.judges"
ALGORITHMS = "harden.algorithms"
OBJECTIVES = "harden.objectives"
SCHEDULES = "harden.schedules"
COMPUTING = ("torch", "transformers", "safetensors")
COMPUTES = "what learns and generates needs the extra `trainer`: pip install 'harden[trainer]'"
GROUPS = (WORLDS, STRATEGIES, JUDGES, ALGORITHMS, OBJECTIVES, SCHEDULES)


def names(group: str) -> list[str]:
    """Of every plug-in that is installed, sorted. Nothing is imported."""
    return sorted({point.name for point in entry_points(group=group)})


def load(group: str, name: str) -> Any:
    """The object behind a plug-in. SetupError where none or more than one has the name, or where it cannot be imported."""
    found = list(entry_points(group=group, name=name))
    kind = group.removeprefix("harden.").removesuffix("s")
    if not found:
        raise SetupError(f"there is no {kind} {name!r}; installed are {', '.join(names(group)) or 'none'}")
    if len({point.value for point in found}) > 1:
        raise SetupError(f"the {kind} {name!r} is provided twice, by {_providers(found)}; uninstall one of them")
    try:
        return found[0].load()
    except (ImportError, AttributeError) as error:
        hint = f"; {COMPUTES}" if isinstance(error, ModuleNotFoundError) and error.name in COMPUTING else ""
        raise SetupError(f"the {kind} {name!r} ({found[0].value}) cannot be loaded: {error}{hint}") from error


def _providers(found: list[EntryPoint]) -> str:
    return " and ".join(sorted(str(point.dist.name) if point.dist else point.value for point in found))
