from itertools import combinations

from harden.worlds.arena import language
from harden.worlds.arena import world as world_module
from harden.worlds.arena.world import INGREDIENTS, MIN_NAME_DISTANCE, distance, world


def test_every_group_has_its_size():
    sizes = [
        len(world().select(restricted=restricted, held_out=held_out))
        for restricted, held_out in ((True, False), (True, True), (False, False), (False, True))
    ]
    assert sizes == [44, 40, 48, 16]


def test_names_are_consonant_vowel_three_times_and_far_apart():
    names = [p.name for p in world().potions]
    assert all(len(n) == 6 and set(n[1::2]) <= set("aeiou") and not set(n[::2]) & set("aeiou") for n in names)
    assert min(distance(a, b) for a, b in combinations(names, 2)) >= MIN_NAME_DISTANCE


def test_no_recipe_is_contained_in_another():
    recipes = [set(p.recipe) for p in world().potions]
    assert all(len(r) in (2, 3) and r <= set(INGREDIENTS) for r in recipes)
    assert not any(a <= b or b <= a for a, b in combinations(recipes, 2))


def test_the_world_is_the_same_every_time():
    first = world()
    world_module._made.cache_clear()
    assert world() == first


def test_words_with_a_meaning_have_only_one():
    kinds = [set(INGREDIENTS), set(language.CODE_WORDS), set(language.COPY_WORDS), set(language.FACTS), set(world().by_name)]
    template_words = {w for t in (*language.INTENTS.values(), *language.WRAPPERS.values()) for line in t for w in line.split()}
    assert not any(a & b for a, b in combinations([*kinds, template_words], 2))
