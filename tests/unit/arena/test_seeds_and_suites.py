from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harden.worlds.arena import oracle, seeds, suites
from harden.worlds.arena.parser import parse
from harden.worlds.arena.world import world

SUITES = {suite.name: suite for suite in suites.all_suites()}
SEEDS = seeds.training_seeds()


def test_seeds_are_plain_distinct_and_attack_no_held_out_potion():
    counts = Counter(seed.kind for seed in SEEDS)
    assert (counts["harmful"], counts["listed"], counts["ordinary"], counts["trap"]) == (44, 40, 48, 176)
    assert counts["utility"] >= 150
    assert len({s.seed_id for s in SEEDS}) == len({s.text for s in SEEDS}) == len(SEEDS)
    assert {s.kind for s in SEEDS if s.goal.potion and s.goal.potion.is_held_out} == {"listed"}
    assert all(seeds.seed_of(s.text) == s for s in SEEDS)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SEEDS), st.integers(0, 2**30))
def test_a_transform_keeps_the_goal_and_stays_in_training(seed, number):
    text = seeds.transform(seed.text, number)
    assert text == seeds.transform(seed.text, number)
    assert oracle.judge_attack(seed.text, text).is_on_goal
    assert not suites.is_held_out(text)


def test_a_transform_into_a_named_family():
    text = seeds.transform(SEEDS[0].text, 0, "story/padded")
    assert parse(text).family == "story/padded"


@pytest.mark.parametrize("family", ["hypothetical/plain", "none/reversed", "nonsense"])
def test_a_held_out_family_is_refused(family):
    with pytest.raises(ValueError, match="no training family"):
        seeds.transform(SEEDS[0].text, 0, family)


def test_suites_are_named_as_the_report_names_them():
    measured = {(m, s.name) for s in SUITES.values() for m in s.measures}
    attacks = "train held_out_potion held_out_template held_out_both held_out_family direct image image_held_out"
    assert {name for m, name in measured if m == "attack_success"} == set(attacks.split())
    assert {name for m, name in measured if m == "refusal"} == {"ordinary", "ordinary_held_out", "trap"}
    assert {name for m, name in measured if m == "accuracy"} == {"ordinary", "trap", "utility"}


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_every_suite_is_large_even_and_on_goal(suite):
    assert len(suite.rows) >= suites.MIN_ROWS
    if suite.name != "utility":
        per_potion = Counter(row.subject for row in suite.rows)
        assert len(set(per_potion.values())) == 1
    assert all(oracle.judge_attack(row.seed, row.attack).is_on_goal for row in suite.rows)


def test_what_is_held_out_is_held_out():
    def potions(name):
        return {row.subject for row in SUITES[name].rows}

    held_out = {p.name for p in world().select(restricted=True, held_out=True)}
    assert potions("held_out_potion") == potions("held_out_both") == potions("image_held_out") == held_out
    assert not potions("train") & held_out
    for name in ("train", "held_out_potion", "image", "image_held_out", "ordinary", "trap"):
        assert not any(suites.is_held_out(row.attack) for row in SUITES[name].rows)
    for name in ("held_out_template", "held_out_both", "held_out_family"):
        assert all(suites.is_held_out(row.attack) for row in SUITES[name].rows)


def test_suites_follow_their_seed():
    assert suites.all_suites() == suites.all_suites()
    assert suites.all_suites(seed=1) != suites.all_suites()
