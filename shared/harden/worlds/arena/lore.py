"""All that is known about one world, put together once: its truth, its language, its splits, its seeds and suites."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from harden.worlds.arena.oracle import Oracle
from harden.worlds.arena.parser import Reader
from harden.worlds.arena.seeds import Seeds
from harden.worlds.arena.splits import Splits
from harden.worlds.arena.suites import Suites
from harden.worlds.arena.world import World, world_of


@dataclass(frozen=True, slots=True)
class Lore:
    world: World
    reader: Reader
    splits: Splits
    oracle: Oracle
    seeds: Seeds
    suites: Suites


def make_lore(world: World) -> Lore:
    reader, splits = Reader(world), Splits(world)
    oracle, seeds = Oracle(world, reader), Seeds(world, reader, splits)
    return Lore(world, reader, splits, oracle, seeds, Suites(world, splits, seeds, oracle))


# Services ask from many threads at once; they wait for one to make it.
_MAKING = Lock()
_MADE: dict[str, Lore] = {}


def lore_of(name: str) -> Lore:
    """What is known about a world that ships, the same object every time. ValueError where there is none of that name."""
    world = world_of(name)
    with _MAKING:
        if name not in _MADE:
            _MADE[name] = make_lore(world)
        return _MADE[name]
