"""What every world owes the game, run against each that is installed."""

import io

import pytest
from PIL import Image

from harden import plugins
from harden.domain import ids
from harden.domain.game import Use, World
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
    assert list(other.suites(ROWS)) == list(world.suites(ROWS))


def test_its_suites_measure_what_readers_know(world: World) -> None:
    suites = world.suites(ROWS)
    assert len({suite.name for suite in suites}) == len(suites)
    for suite in suites:
        assert suite.measures, suite.name
        assert set(suite.measures) <= MEASURES, suite.name
        assert suite.cases, suite.name
        assert all(case.attacks for case in suite.cases), suite.name


def test_the_monitor_finds_the_suites_that_it_looks_at(world: World) -> None:
    by_name = {suite.name: suite for suite in world.suites(ROWS)}
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
