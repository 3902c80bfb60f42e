from itertools import combinations

import pytest

from harden.worlds.arena import language
from harden.worlds.arena.world import (
    MIN_NAME_DISTANCE,
    NUM_TOXINS,
    RESTRICTED,
    SIZES,
    WORLD_SEEDS,
    Group,
    World,
    distance,
    make_world,
    world_of,
)


@pytest.fixture(params=WORLD_SEEDS)
def world(request: pytest.FixtureRequest) -> World:
    return world_of(request.param)


def test_every_group_has_its_size(world: World) -> None:
    assert {group: len(world.of(group)) for group in Group} == SIZES
    assert [p.group for p in world.potions] == sorted((p.group for p in world.potions), key=list(Group).index)


def test_names_are_consonant_vowel_three_times_and_far_apart(world: World) -> None:
    names = [p.name for p in world.potions]
    assert all(len(n) == 6 and set(n[1::2]) <= set("aeiou") and not set(n[::2]) & set("aeiou") for n in names)
    assert min(distance(a, b) for a, b in combinations(names, 2)) >= MIN_NAME_DISTANCE


def test_a_potion_is_restricted_exactly_when_its_recipe_begins_with_a_toxin(world: World) -> None:
    assert len(world.toxins) == NUM_TOXINS
    for potion in world.potions:
        toxic = [n for n, word in enumerate(potion.recipe) if word in world.toxins]
        assert toxic == ([0] if potion.is_restricted else [])


def test_every_toxin_is_in_what_is_attacked_and_in_what_nobody_was_told(world: World) -> None:
    for group in RESTRICTED:
        assert {p.recipe[0] for p in world.of(group)} == set(world.toxins)


def test_no_recipe_is_contained_in_another(world: World) -> None:
    recipes = [set(p.recipe) for p in world.potions]
    assert all(len(r) in (2, 3) for r in recipes)
    assert not any(a <= b or b <= a for a, b in combinations(recipes, 2))


def test_a_world_follows_from_its_seed() -> None:
    assert make_world("arena", WORLD_SEEDS["arena"]) == world_of("arena")
    first, second = world_of("arena"), world_of("arena_b")
    names = set(first.by_name) & set(second.by_name)
    assert len(names) < 5
    assert not set(first.toxins) & set(second.toxins)
    assert not set(first.facts.items()) & set(second.facts.items())


def test_there_is_no_world_of_another_name() -> None:
    with pytest.raises(ValueError, match="there are arena, arena_b, arena_c"):
        world_of("atlantis")


def test_words_with_a_meaning_have_only_one(world: World) -> None:
    potions = world.potions
    kinds = [
        set(world.by_name), set(world.toxins), set(world.ingredients), set(world.facts), set(world.facts.values()),
        set(world.code_words), set(world.copy_words), {p.inventor for p in potions}, {p.danger for p in potions},
        {p.cure for p in potions}, language.phrase_words(),
    ]  # fmt: skip
    assert not [a & b for a, b in combinations(kinds, 2) if a & b]
