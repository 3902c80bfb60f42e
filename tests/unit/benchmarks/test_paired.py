"""Between which bounds the median of paired ratios lies."""

import random

import pytest

from benchmarks.harness import Turn, Turns
from benchmarks.paired import coverage, interval, surely_faster


def test_five_pairs_reach_from_the_smallest_to_the_largest() -> None:
    found = interval([5.0, 7.0, 6.0, 9.0, 4.0])
    assert (found.low, found.median, found.high) == (4.0, 6.0, 9.0)
    assert found.coverage == pytest.approx(1 - 2 / 32)


def test_with_more_pairs_one_bad_one_is_forgiven() -> None:
    found = interval([1.0, *[6.0 + i / 10 for i in range(8)]])
    assert found.low == 6.0


def test_fewer_have_no_interval() -> None:
    with pytest.raises(ValueError, match="at least 5 pairs"):
        interval([1.0] * 4)


@pytest.mark.parametrize("n", [5, 9, 15])
def test_the_interval_holds_the_median_as_often_as_it_says(n: int) -> None:
    rng = random.Random(0)
    found = [interval([rng.lognormvariate(0.0, 1.0) for _ in range(n)]) for _ in range(4000)]
    held = sum(one.low <= 1.0 <= one.high for one in found) / len(found)
    assert held == pytest.approx(found[0].coverage, abs=0.015)
    assert found[0].coverage >= 0.93


def test_coverage_of_all_is_all_but_the_two_tails() -> None:
    assert coverage(6, 1) == pytest.approx(1 - 2 / 64)


def test_the_ratio_of_a_line_is_the_lower_end() -> None:
    turns = Turns([Turn(12, 1), Turn(10, 1), Turn(11, 1), Turn(13, 1), Turn(14, 1)], [Turn(2, 1)] * 5)
    result = surely_faster("a.b", turns, "samples/s", "peer", 5.0)
    assert result.ratio == 5.0
    assert result.is_met
    assert result.details["ratio"]["median"] == 6.0


def test_pairs_are_of_turns_that_stood_side_by_side() -> None:
    """A machine twice as slow in the second half changes no ratio."""
    turns = Turns([Turn(10, 1)] * 3 + [Turn(10, 2)] * 3, [Turn(2, 1)] * 3 + [Turn(2, 2)] * 3)
    assert surely_faster("a", turns, "samples/s", "peer", 5.0).ratio == 5.0
