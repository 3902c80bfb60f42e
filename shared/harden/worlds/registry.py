"""The worlds that are installed, by name. Trainer, attacker, judge and command line all take the bundle from here."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from harden import plugins
from harden.domain.errors import SetupError
from harden.domain.game import Guard, World

# What services and experiments play in where their settings name no world.
DEFAULT = "arena"


def load(name: str) -> World:
    """The world of that name, the same object every time. SetupError where none is installed or it calls itself otherwise."""
    return _made(name, plugins.load(plugins.WORLDS, name))


@cache
def _made(name: str, factory: Callable[[], World]) -> World:
    world = factory()
    if world.name != name:
        raise SetupError(f"the world {name!r} calls itself {world.name!r}; give its entry point the same name")
    return world


def guard_of(name: str) -> Guard:
    """The guard of that world. SetupError where none of that name is installed or it has no guard."""
    guard = load(name).guard
    if guard is None:
        raise SetupError(f"the world {name!r} has no guard; leave `guard` out of the experiment, or play in another world")
    return guard


def check_installed(name: str) -> str:
    """The name; ValueError with what is installed where no world has it. Nothing is imported."""
    installed = plugins.names(plugins.WORLDS)
    if name not in installed:
        raise ValueError(f"there is no world {name!r}; installed are {', '.join(installed) or 'none'}")
    return name


def policy_directory(source: str) -> Path:
    """Where a policy starts from: `<world>:<name>` for one that ships with a world, else a directory.

    SetupError where that is no Hugging Face model directory.
    """
    directory = _shipped(source) or Path(source)
    if not (directory / "config.json").is_file():
        shipped = [f"{world}:{name}" for world in plugins.names(plugins.WORLDS) for name in load(world).policies]
        raise SetupError(
            f"{source} is no Hugging Face model directory (no config.json in {directory}); "
            f"give one, or {', '.join(shipped) or 'install a world that ships some'}"
        )
    return directory


def _shipped(source: str) -> Path | None:
    name, colon, policy = source.partition(":")
    if not colon or name not in plugins.names(plugins.WORLDS):
        return None
    return load(name).policies.get(policy)
