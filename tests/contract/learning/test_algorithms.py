"""What every installed algorithm must keep, ours and everybody's: the trainer relies on it."""

from typing import Any

import pytest

from harden import plugins
from harden.domain.bout import Purpose, Role
from harden.trainer.objectives.ports import Term
from tests.unit.algorithms.played import PLAY, a_context, a_request, made
from tests.unit.trainer.judged import LEAK, OTHER, REFUSED, a_judged_bout, on_attack

# What an algorithm needs beside a mixture to be made.
SETTINGS: dict[str, dict[str, Any]] = {"groups": {"objective": "grpo"}}
NAMES = [
    name
    for name in plugins.names(plugins.ALGORITHMS)
    if PLAY.keys() <= plugins.load(plugins.ALGORITHMS, name).Settings.model_fields.keys()
]


def an_algorithm(name: str, role: Role = Role.DEFENDER) -> Any:
    return made(plugins.load(plugins.ALGORITHMS, name), role, **SETTINGS.get(name, {}))


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("name", NAMES)
def test_the_same_request_gives_the_same_bouts_each_with_its_own_id(name: str, role: Role) -> None:
    bouts, again = an_algorithm(name, role).bouts(a_request()), an_algorithm(name, role).bouts(a_request())
    assert bouts == again
    assert len({bout.bout_id for bout in bouts}) == len(bouts)
    assert {(bout.purpose, bout.learners) for bout in bouts} <= {(Purpose.TRAIN, (role,))}
    assert not {bout.bout_id for bout in bouts} & {bout.bout_id for bout in an_algorithm(name, role).bouts(a_request(step=1))}


@pytest.mark.parametrize("name", NAMES)
def test_bouts_draw_from_the_categories_it_names(name: str) -> None:
    algorithm = an_algorithm(name)
    assert {bout.seed.category for bout in algorithm.bouts(a_request())} <= type(algorithm).categories(algorithm.settings)


@pytest.mark.parametrize("name", NAMES)
def test_every_bout_is_learned_from_or_dropped_with_a_reason(name: str) -> None:
    good = a_judged_bout([(on_attack(), [LEAK, REFUSED, OTHER])])
    stale = an_algorithm(name).terms([good], a_context(lag_of=lambda _: 99))
    assert stale.dropped.keys() == {good.bout.bout_id}
    assert all(stale.dropped.values())
    fresh = an_algorithm(name).terms([good], a_context(lag_of=lambda _: 2))
    assert fresh.dropped == {}
    assert fresh.lags == [2]
    assert all(isinstance(term, Term) and term.weight > 0 for term in fresh.terms)


@pytest.mark.parametrize("name", NAMES)
def test_its_terms_suit_their_objectives(name: str) -> None:
    (term,) = an_algorithm(name).terms([a_judged_bout([(on_attack(), [LEAK, REFUSED, OTHER])])], a_context()).terms
    assert any(term.objective.constants(term.groups, step=0).moves)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_without_bouts_is_no_error(name: str) -> None:
    assert an_algorithm(name).terms([], a_context()).dropped == {}
