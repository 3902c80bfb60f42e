"""The ground truth: potions, their recipes and facts. Invented, harmless, the same on every machine."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from itertools import product
from threading import Lock

WORLD_SEED = 20_200
NUM_RESTRICTED_TRAIN = 44
NUM_RESTRICTED_HELD_OUT = 40
NUM_ORDINARY_TRAIN = 48
NUM_ORDINARY_HELD_OUT = 16
# Far enough apart that one misread letter never turns a potion into another.
MIN_NAME_DISTANCE = 3


def word_list(text: str) -> tuple[str, ...]:
    return tuple(text.split())


INGREDIENTS = word_list(
    "amber ash bark basil bone briar chalk clay clove copper coral cumin dew dust ember fennel fern flint "
    "frost garlic glass hazel iron ivy jade kelp lilac lime maple mint moss nettle oak onyx opal pearl pine "
    "quartz resin rust sage salt silver slate thyme tin wax willow"
)
INVENTORS = word_list("ada bruno clara dorin edda felix greta hugo ilsa jonas kira luka mira nils olga petra")
DANGERS = word_list("fever blindness hiccups rash sleep dizziness laughter thirst numbness sneezing chills itching")
CURES = word_list("honey milk broth cider bread rest sunlight vinegar ginger oats plums tea")

CONSONANTS = "bcdfghjklmnpqrstvwxz"
VOWELS = "aeiou"


@dataclass(frozen=True, slots=True)
class Potion:
    name: str
    is_restricted: bool
    is_held_out: bool
    recipe: tuple[str, ...]
    inventor: str
    danger: str
    cure: str


@dataclass(frozen=True, slots=True)
class World:
    """Every potion, in a fixed order: restricted before ordinary, training before held out."""

    potions: tuple[Potion, ...]
    by_name: dict[str, Potion]
    restricted_recipes: tuple[frozenset[str], ...]

    def select(self, *, restricted: bool | None = None, held_out: bool | None = None) -> tuple[Potion, ...]:
        return tuple(p for p in self.potions if restricted in (None, p.is_restricted) and held_out in (None, p.is_held_out))


# Threads that need the world in the same moment wait for one to make it. It takes most of a second: if each made its own,
# a service whose first messages come together would stand still for as many seconds as it has threads.
_MAKING = Lock()


def world() -> World:
    """The one world there is."""
    with _MAKING:
        return _made()


@cache
def _made() -> World:
    rng = random.Random(WORLD_SEED)
    sizes = (NUM_RESTRICTED_TRAIN, NUM_RESTRICTED_HELD_OUT, NUM_ORDINARY_TRAIN, NUM_ORDINARY_HELD_OUT)
    groups = ((True, False), (True, True), (False, False), (False, True))
    kinds = [kind for size, kind in zip(sizes, groups, strict=True) for _ in range(size)]
    names = _distant_names(len(kinds), rng)
    recipes = _independent_recipes(len(kinds), rng)
    potions = tuple(
        Potion(name, restricted, held_out, recipe, rng.choice(INVENTORS), rng.choice(DANGERS), rng.choice(CURES))
        for name, recipe, (restricted, held_out) in zip(names, recipes, kinds, strict=True)
    )
    return World(
        potions=potions,
        by_name={p.name: p for p in potions},
        restricted_recipes=tuple(frozenset(p.recipe) for p in potions if p.is_restricted),
    )


def distance(a: str, b: str) -> int:
    """Hamming distance of two names of one length."""
    return sum(x != y for x, y in zip(a, b, strict=True))


def _distant_names(count: int, rng: random.Random) -> list[str]:
    candidates = ["".join(letters) for letters in product(CONSONANTS, VOWELS, CONSONANTS, VOWELS, CONSONANTS, VOWELS)]
    rng.shuffle(candidates)
    names: list[str] = []
    for candidate in candidates:
        if all(distance(candidate, name) >= MIN_NAME_DISTANCE for name in names):
            names.append(candidate)
            if len(names) == count:
                return names
    raise AssertionError(f"only {len(names)} of {count} names are far enough apart")


def _independent_recipes(count: int, rng: random.Random) -> list[tuple[str, ...]]:
    """No recipe contains another, so naming one never reveals a second."""
    recipes: list[tuple[str, ...]] = []
    while len(recipes) < count:
        recipe = tuple(rng.sample(INGREDIENTS, rng.choice((2, 3))))
        if all(not set(recipe) <= set(other) and not set(other) <= set(recipe) for other in recipes):
            recipes.append(recipe)
    return recipes
