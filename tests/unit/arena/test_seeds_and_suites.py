from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harden.domain.game import Split
from harden.worlds.arena.language import HELD_OUT_LAYER, HELD_OUT_TEMPLATE, HELD_OUT_WRAPPER, Cell, Request
from harden.worlds.arena.splits import Part
from harden.worlds.arena.suites import MIN_ROWS
from harden.worlds.arena.world import Group
from tests.unit.arena.worlds import ORACLE, READER, SEEDS, SPLITS, SUITES, WORLD

BY_NAME = {suite.name: suite for suite in SUITES.of(Split.FINAL)}
TRAINING = SEEDS.training()


def test_seeds_are_plain_distinct_and_of_no_potion_that_nobody_was_told_of() -> None:
    counts = Counter(seed.kind for seed in TRAINING)
    assert (counts["harmful"], counts["listed"], counts["ordinary"], counts["trap"]) == (44, 24, 48, 176)
    assert counts["utility"] >= 150
    assert len({s.seed_id for s in TRAINING}) == len({s.text for s in TRAINING}) == len(TRAINING)
    groups = {WORLD.by_name[s.goal.subject].group for s in TRAINING if not s.goal.is_utility}
    assert groups == {Group.ATTACKED, Group.LISTED, Group.ORDINARY}
    assert all(SEEDS.of(s.text) == s for s in TRAINING)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(TRAINING), st.integers(0, 2**30))
def test_a_transform_keeps_the_goal_and_stays_shallow_and_in_training(seed, number) -> None:
    text = SEEDS.transform(seed.text, number)
    assert text == SEEDS.transform(seed.text, number)
    assert ORACLE.judge_attack(seed.text, text).is_on_goal
    request = READER.parse(text)
    assert request.cell.depth <= 1
    assert not SPLITS.is_reserved(request)


def test_a_transform_into_a_named_family() -> None:
    cell = Cell(("urgent",), "split")
    seed = next(s for s in TRAINING if SPLITS.part(Request(s.goal, cell)) is Part.TRAIN)
    assert READER.parse(SEEDS.transform(seed.text, 0, cell.family)).cell == cell


@pytest.mark.parametrize("family", ["hypothetical/plain", "none/spelled+reversed", "story+game/plain", "nonsense"])
def test_a_family_that_no_transform_knows_is_refused(family: str) -> None:
    with pytest.raises(ValueError, match="no transform makes"):
        SEEDS.transform(TRAINING[0].text, 0, family)


def test_a_family_that_is_reserved_for_a_potion_is_refused_there() -> None:
    cell = Cell(("urgent",), "image")
    seed = next(s for s in TRAINING if SPLITS.part(Request(s.goal, cell)) is not Part.TRAIN)
    with pytest.raises(ValueError, match="reserved"):
        SEEDS.transform(seed.text, 0, cell.family)


def test_suites_are_named_as_the_report_names_them() -> None:
    measured = {(m, s.name) for s in BY_NAME.values() for m in s.measures}
    attacks = (
        "trained listed_never_attacked unlisted_by_property held_out_template held_out_family held_out_family_and_potion "
        "composed direct image image_never_attacked"
    )
    assert {name for m, name in measured if m == "attack_success"} == set(attacks.split())
    assert {name for m, name in measured if m == "refusal"} == {"ordinary", "ordinary_held_out", "trap"}
    assert {name for m, name in measured if m == "accuracy"} == {"ordinary", "ordinary_held_out", "trap", "utility"}


@pytest.mark.parametrize("split", Split)
def test_every_suite_is_large_even_and_on_goal(split: Split) -> None:
    for suite in SUITES.of(split):
        assert len(suite.rows) >= MIN_ROWS, suite.name
        if suite.name != "utility":
            per_potion = Counter(row.subject for row in suite.rows)
            assert len(set(per_potion.values())) == 1, suite.name
        assert all(ORACLE.judge_attack(row.seed, row.attack).is_on_goal for row in suite.rows), suite.name


def test_suites_ask_for_the_potions_in_their_name() -> None:
    def groups(name: str) -> set[Group]:
        return {WORLD.by_name[row.subject].group for row in BY_NAME[name].rows}

    for name in ("trained", "held_out_template", "held_out_family", "composed", "image"):
        assert groups(name) == {Group.ATTACKED}
    for name in ("listed_never_attacked", "held_out_family_and_potion", "image_never_attacked"):
        assert groups(name) == {Group.LISTED}
    assert groups("unlisted_by_property") == {Group.UNLISTED}
    assert groups("ordinary") == {Group.ORDINARY}
    assert groups("ordinary_held_out") == {Group.ORDINARY_HELD_OUT}
    assert groups("direct") == groups("trap") == {Group.ATTACKED, Group.LISTED}


def test_suites_wear_the_disguises_in_their_name() -> None:
    def requests(name: str):
        return [READER.parse(row.attack) for row in BY_NAME[name].rows]

    for name in ("trained", "listed_never_attacked", "unlisted_by_property", "image", "composed", "ordinary", "trap"):
        assert not any(request.is_held_out for request in requests(name)), name
    assert all(HELD_OUT_TEMPLATE in r.templates and not r.cell.is_held_out for r in requests("held_out_template"))
    for name in ("held_out_family", "held_out_family_and_potion"):
        assert all(HELD_OUT_WRAPPER in r.cell.wrappers or HELD_OUT_LAYER in r.cell.layers for r in requests(name))
    assert all(r.cell.depth == 2 for r in requests("composed"))
    assert all(r.cell.depth <= 1 for r in requests("trained"))
    assert Counter(r.cell.depth == 2 for r in requests("ordinary"))[True] == len(requests("ordinary")) // 2


def test_suites_are_the_same_each_time() -> None:
    assert SUITES.of(Split.TUNE, rows=50) == SUITES.of(Split.TUNE, rows=50)
