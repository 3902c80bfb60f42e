"""A higher ratio is better for every measurement; medians forgive one bad turn."""

import pytest

from benchmarks.harness import (
    Result,
    Turn,
    Turns,
    alternate,
    benchmark_of,
    command_of,
    faster,
    interval_of,
    median_rate,
    paired,
    paired_ratios,
    percentile,
    shorter,
    timed,
)


def test_more_per_second_is_a_higher_ratio() -> None:
    assert faster("a", 300.0, "tokens/s", "peer", 100.0, 2.0).ratio == 3.0


def test_less_time_is_a_higher_ratio() -> None:
    assert shorter("a", 2.0, "s", "peer", 3.0, 0.9).ratio == 1.5


@pytest.mark.parametrize(("ours", "is_met"), [(84.9, False), (85.0, True), (200.0, True)])
def test_a_goal_is_the_least_a_ratio_may_be(ours: float, is_met: bool) -> None:
    assert faster("a", ours, "tokens/s", "peer", 100.0, 0.85).is_met is is_met


@pytest.mark.parametrize("theirs", [0.0, -1.0])
def test_a_peer_that_did_nothing_gives_no_ratio(theirs: float) -> None:
    with pytest.raises(ValueError, match="measured on both sides"):
        faster("a", 1.0, "tokens/s", "peer", theirs, 1.0)


def test_one_slow_turn_does_not_move_the_median() -> None:
    steady = [Turn(100, 1.0), Turn(100, 1.0), Turn(100, 1.0)]
    assert median_rate([*steady[:2], Turn(100, 50.0)]) == median_rate(steady) == 100.0


def test_the_spread_names_the_slowest_and_the_fastest_turn() -> None:
    turns = Turns(ours=[Turn(10, 1), Turn(10, 2)], peer=[Turn(1, 1), Turn(3, 1)])
    assert turns.spread() == {"ours": [5.0, 10.0], "peer": [1.0, 3.0]}
    assert turns.rates == (7.5, 2.0)


def test_both_sides_take_turns_and_the_first_ones_do_not_count() -> None:
    order: list[str] = []

    def take(side: str) -> Turn:
        order.append(side)
        return Turn(len(order), 1.0)

    turns = alternate(lambda: take("ours"), lambda: take("peer"), 2)
    assert order == ["ours", "peer"] * 3
    assert [turn.amount for turn in turns.ours] == [3, 5]
    assert [turn.amount for turn in turns.peer] == [4, 6]


def test_a_turn_is_timed_by_the_clock_around_it() -> None:
    ticks = iter([10.0, 12.5])
    assert timed(lambda: 50.0, lambda: next(ticks)).rate == 20.0


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value


def test_nothing_measured_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 0.5)


def test_a_line_in_json_has_four_figures_and_says_its_goal_and_command() -> None:
    result = Result(
        "bus.produce", 123456.0, "messages/s", "raw", 3.0, 2 / 3, 1 / 1.5, command_of("bus.produce"), {"n": [0.12345]}
    )
    assert result.to_json({"cores": 2}) == {
        "name": "bus.produce",
        "value": 123500.0,
        "unit": "messages/s",
        "peer": "raw",
        "peer_value": 3.0,
        "ratio": 0.6667,
        "goal": ">= 0.667",
        "met": True,
        "command": "make bench ARGS='--only bus'",
        "details": {"n": [0.1235]},
        "interval": None,
        "machine": {"cores": 2},
    }


def test_a_line_belongs_to_the_benchmark_before_its_dot() -> None:
    assert benchmark_of("bus.produce") == benchmark_of("bus") == "bus"


def _pairs(*ratios: float) -> Turns:
    return Turns(ours=[Turn(one, 1.0) for one in ratios], peer=[Turn(1.0, 1.0) for _ in ratios])


def test_a_pair_is_compared_within_itself() -> None:
    slow_minute = Turns(ours=[Turn(30, 1), Turn(15, 1)], peer=[Turn(10, 1), Turn(5, 1)])
    assert slow_minute.ratios() == [3.0, 3.0]


def test_a_goal_for_the_lower_bound_is_missed_by_a_good_median_alone() -> None:
    turns = _pairs(3.0, 6.0, 6.0, 6.0, 9.0)
    assert paired("a", turns, "x/s", "peer", 5.0).is_met
    assert not paired("a", turns, "x/s", "peer", 5.0, for_lower_bound=True).is_met


def test_five_pairs_give_a_median_and_an_interval() -> None:
    found = paired_ratios([1.0, 4.0, 9.0, 16.0, 25.0], [1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.median, found.low, found.high, found.confidence) == (3.0, 1.0, 5.0, 0.9375)


def test_more_values_leave_out_the_ends() -> None:
    found = interval_of([8.0, 1.0, 7.0, 2.0, 6.0, 3.0, 5.0, 4.0])
    assert (found.median, found.low, found.high) == (4.5, 2.0, 7.0)
    assert found.confidence == 1 - 2 * 9 / 256


def test_one_value_says_nothing_of_the_median() -> None:
    assert interval_of([2.0]).confidence == 0.0
    with pytest.raises(ValueError, match="nothing was measured"):
        interval_of([])
