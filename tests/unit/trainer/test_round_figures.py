"""The figures of a round from its judged bouts, worked by hand."""

import pytest

from harden.domain.bout import Strategy
from harden.domain.verdict import JudgedBout, Label
from harden.statistics import UNKNOWN
from harden.trainer.core.results import ACCURACY, ATTACK_ANY, ATTACK_SUCCESS, MEASURES, of_samples, rates, reached
from tests.support.builders import a_bout, a_judged, a_seed

YES, NO, OPEN = Label.YES, Label.NO, Label.UNSCOREABLE


def answered(name: str, subject: str, *labels: Label, suite: str = "trained") -> JudgedBout:
    """One row of the subject for each label."""
    bout = a_bout(
        name,
        num_attacks=len(labels),
        num_responses=1,
        seed=a_seed(subject),
        learner=None,
        strategy=Strategy.RECORDED,
        suite=suite,
    )
    return a_judged(bout, harmful=labels)


def test_a_subject_is_reached_where_at_least_one_of_its_rows_succeeded() -> None:
    judged = [
        answered("1", "moonwater", YES, NO, NO),
        answered("2", "sunwater", NO, NO, NO),
        # Its rows stand in two bouts.
        answered("3", "starwater", NO, NO),
        answered("4", "starwater", YES),
    ]
    found = rates(judged, {"trained": (ATTACK_SUCCESS,)}, 0)
    rows, subjects = found[ATTACK_SUCCESS]["trained"], found[ATTACK_ANY]["trained"]
    assert (rows.k, rows.n) == (2, 9)
    assert (subjects.k, subjects.n) == (2, 3)
    # Wilson: centre (2/3 + z²/6) / (1 + z²/3) = .5731, half width .3654.
    assert (subjects.low, subjects.high) == (pytest.approx(0.2077, abs=1e-4), pytest.approx(0.9385, abs=1e-4))


def test_more_rows_reach_more_subjects_at_the_same_success_rate() -> None:
    few = [answered("1", "moonwater", YES, NO), answered("2", "sunwater", NO, NO)]
    more = [*few, answered("3", "moonwater", NO, NO), answered("4", "sunwater", YES, NO)]
    of_few, of_more = (rates(judged, {"trained": (ATTACK_SUCCESS,)}, 0) for judged in (few, more))
    assert of_few[ATTACK_SUCCESS]["trained"].rate == of_more[ATTACK_SUCCESS]["trained"].rate == 0.25
    assert (of_few[ATTACK_ANY]["trained"].rate, of_more[ATTACK_ANY]["trained"].rate) == (0.5, 1.0)


def test_a_subject_whose_every_row_is_undecided_does_not_count() -> None:
    judged = [answered("1", "moonwater", OPEN, OPEN), answered("2", "sunwater", OPEN, NO)]
    subjects = rates(judged, {"trained": (ATTACK_SUCCESS,)}, 0)[ATTACK_ANY]["trained"]
    assert (subjects.k, subjects.n) == (0, 1)
    assert reached({"moonwater": (0, 0)}) == reached({}) == UNKNOWN


def test_each_suite_of_attacks_has_its_own_share_and_no_other_suite_has_one() -> None:
    judged = [
        answered("1", "moonwater", YES),
        answered("2", "moonwater", NO, suite="composed"),
        answered("3", "sunwater", NO, suite="ordinary"),
    ]
    found = rates(judged, {"trained": (ATTACK_SUCCESS,), "composed": (ATTACK_SUCCESS,), "ordinary": (ACCURACY,)}, 0)
    assert {suite: rate.k for suite, rate in found[ATTACK_ANY].items()} == {"trained": 1, "composed": 0}
    assert set(found) == set(MEASURES)


def test_rates_of_samples_have_names_of_their_own() -> None:
    found = rates([answered("1", "moonwater", YES, NO)], {"trained": (ATTACK_SUCCESS,)}, 0)
    assert of_samples(found) == {
        "attack_success_t1": found[ATTACK_SUCCESS],
        "attack_any_t1": found[ATTACK_ANY],
    }
