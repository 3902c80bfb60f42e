import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harden.trainer.objectives.grpo import Baseline, advantages_of, zero_variance_share

REWARDS = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.1, 1.0]), min_size=2, max_size=16)
BASELINES: list[Baseline] = ["standard", "dr_grpo", "rloo"]


@given(REWARDS, st.sampled_from(BASELINES))
def test_advantages_of_a_group_sum_to_zero(rewards: list[float], baseline: Baseline) -> None:
    assert math.fsum(advantages_of(rewards, baseline)) == pytest.approx(0, abs=1e-9)


@given(REWARDS, st.sampled_from(BASELINES))
def test_a_shift_of_all_rewards_changes_nothing(rewards: list[float], baseline: Baseline) -> None:
    shifted = advantages_of([reward + 2.0 for reward in rewards], baseline)
    assert shifted == pytest.approx(advantages_of(rewards, baseline), abs=1e-9)


def test_scaling_rewards_scales_all_but_the_standard_advantages() -> None:
    rewards, larger = [1.0, -1.0, 0.0, 1.0], [1000.0, -1000.0, 0.0, 1000.0]
    assert advantages_of(larger) == pytest.approx(advantages_of(rewards), rel=1e-3)
    assert advantages_of(larger, "dr_grpo") == pytest.approx([1000 * a for a in advantages_of(rewards, "dr_grpo")])


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("rewards", [[], [1.0], [0.1] * 7, [0.1 + 0.2] * 3])
def test_groups_without_variance_are_exactly_zero(rewards: list[float], baseline: Baseline) -> None:
    assert advantages_of(rewards, baseline) == [0.0] * len(rewards)


def test_rloo_compares_with_the_mean_of_the_others() -> None:
    rewards = [1.0, 0.0, -0.5, 1.0]
    expected = [r - (sum(rewards) - r) / 3 for r in rewards]
    assert advantages_of(rewards, "rloo") == pytest.approx(expected)


def test_standard_divides_by_the_sample_deviation() -> None:
    assert advantages_of([1.0, -1.0]) == pytest.approx([1 / math.sqrt(2), -1 / math.sqrt(2)], rel=1e-3)


def test_one_success_in_sixteen_counts_much_and_stays_finite() -> None:
    assert advantages_of([1.0] + [0.0] * 15)[0] == pytest.approx(3.75, abs=0.01)


def test_zero_variance_share_counts_groups() -> None:
    assert zero_variance_share([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]) == 0.75
    assert zero_variance_share([]) == 0.0


def test_an_unknown_baseline_is_refused() -> None:
    with pytest.raises(ValueError, match="rloo"):
        advantages_of([0.0, 1.0], "median")  # type: ignore[arg-type]
