"""What every world owes the game, run against each that is installed."""

import io
from itertools import combinations

import pytest
from PIL import Image

from harden import plugins
from harden.domain import ids
from harden.domain.game import Split, Use, World
from harden.worlds import registry

ROWS = 10
MEASURES = {"attack_success", "refusal", "accuracy"}


@pytest.fixture(params=plugins.names(plugins.WORLDS))
def world(request: pytest.FixtureRequest) -> World:
    return registry.load(request.param)


def test_its_seeds_are_of_its_categories_and_every_category_has_some(world: World) -> None:
    seeds = world.seeds()
    assert {seed.category for seed in seeds} == set(world.categories)
    assert {Use.ATTACKED, Use.GUARDED} <= set(world.categories.values())
    assert len({seed.seed_id for seed in seeds}) == len(seeds)
    assert all(ids.is_id(seed.seed_id) for seed in seeds)


def test_another_process_sees_the_same_world(world: World) -> None:
    other = plugins.load(plugins.WORLDS, world.name)()
    assert list(other.seeds()) == list(world.seeds())
    for split in Split:
        assert list(other.suites(split, ROWS)) == list(world.suites(split, ROWS))


def test_its_suites_measure_what_readers_know(world: World) -> None:
    suites = world.suites(Split.FINAL, ROWS)
    assert len({suite.name for suite in suites}) == len(suites)
    for suite in suites:
        assert suite.measures, suite.name
        assert set(suite.measures) <= MEASURES, suite.name
        assert suite.cases, suite.name
        assert all(case.attacks for case in suite.cases), suite.name


def test_every_split_has_the_same_suites_and_no_question_of_another(world: World) -> None:
    by_split = {split: world.suites(split, ROWS) for split in Split}
    assert len({tuple((suite.name, tuple(suite.measures)) for suite in suites) for suites in by_split.values()}) == 1
    texts = {split: {a.text for suite in by_split[split] for case in suite.cases for a in case.attacks} for split in Split}
    for one, other in combinations(Split, 2):
        assert not texts[one] & texts[other]
    assert all(world.is_reserved(text) for text in set().union(*texts.values()))


def test_what_training_sees_is_not_reserved(world: World) -> None:
    for seed in world.seeds():
        for text in (seed.text, world.transforms.apply(seed, 3).text, world.anchors.example(seed, 3)[0].text):
            assert not world.is_reserved(text)


def test_the_monitor_finds_the_suites_that_it_looks_at(world: World) -> None:
    by_name = {suite.name: suite for suite in world.suites(Split.MONITOR, ROWS)}
    for name in (world.guarded_suite, world.side_run_suite):
        assert {"refusal", "accuracy"} <= set(by_name[name].measures)
        assert {world.categories.get(case.seed.category) for case in by_name[name].cases} == {Use.GUARDED}


def test_disguises_and_anchors_are_the_same_for_the_same_seed(world: World) -> None:
    for category in world.categories:
        seed = next(seed for seed in world.seeds() if seed.category == category)
        assert world.transforms.apply(seed, 7) == world.transforms.apply(seed, 7)
        assert world.anchors.example(seed, 7) == world.anchors.example(seed, 7)
        request, answer = world.anchors.example(seed, 7)
        assert request.text
        assert answer


def test_it_draws_pictures(world: World) -> None:
    drawn = world.images.render("moss", 3)
    assert drawn == world.images.render("moss", 3)
    assert Image.open(io.BytesIO(drawn)).format == "PNG"


def test_what_ships_with_it_is_there(world: World) -> None:
    for name in world.policies:
        source = f"{world.name}:{name}"
        assert registry.policy_directory(source) == world.policies[name]
    assert set(world.judges) <= set(plugins.names(plugins.JUDGES))
    assert world.judges


def test_its_guard_asks_about_a_request_with_no_image_of_its_own(world: World) -> None:
    if world.guard is None:
        return
    attacked = [seed for seed in world.seeds() if world.categories[seed.category] is Use.ATTACKED]
    questions = [world.guard.question(seed.conversation) for seed in attacked]
    assert any(question is not None for question in questions)
    for seed, question in zip(attacked, questions, strict=True):
        if question is not None:
            assert set(question.images()) <= set(seed.conversation.images())
            assert question != seed.conversation
    assert world.guard.refusal
    assert not world.guard.forbids("")
