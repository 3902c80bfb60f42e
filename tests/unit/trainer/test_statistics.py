import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harden.statistics import Rate, clustered, cohen_kappa, wilson

TRIALS = 300


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(0, 10, 0.0, 0.27753), (5, 100, 0.02154, 0.11175), (50, 100, 0.40383, 0.59617), (10, 10, 0.72247, 1.0)],
)
def test_wilson_bounds_are_the_published_ones(k: int, n: int, low: float, high: float) -> None:
    rate = wilson(k, n)
    assert (rate.low, rate.high) == (pytest.approx(low, abs=1e-5), pytest.approx(high, abs=1e-5))


def test_of_nothing_nothing_is_known() -> None:
    assert wilson(0, 0) == clustered({}, seed=0) == clustered({"a": (0, 0)}, seed=0) == Rate(0, 0, 0.0, 0.0, 1.0)


def test_more_hits_than_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)


@given(st.dictionaries(st.text(max_size=3), st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=8), st.integers(0, 99))
def test_the_rate_lies_between_its_bounds(raw: dict[str, tuple[int, int]], seed: int) -> None:
    rows = {cluster: (min(k, n), n) for cluster, (k, n) in raw.items()}
    for rate in (clustered(rows, seed), *(wilson(k, n) for k, n in rows.values())):
        assert 0 <= rate.low <= rate.rate <= rate.high <= 1
    assert clustered(rows, seed).k == sum(k for k, _ in rows.values())


def test_alike_rows_of_few_clusters_say_less_than_as_many_rows() -> None:
    concentrated = clustered({f"potion {i}": (20 if i < 2 else 0, 20) for i in range(10)}, seed=0)
    spread = wilson(40, 200)
    assert concentrated.rate == spread.rate == 0.2
    assert concentrated.high - concentrated.low > 2 * (spread.high - spread.low)


def test_clusters_that_all_agree_still_leave_doubt() -> None:
    rate = clustered(dict.fromkeys(range(20), (0, 50)), seed=0)
    assert rate.high == pytest.approx(wilson(0, 20).high)


def test_one_cluster_says_almost_nothing() -> None:
    assert clustered({"a": (30, 100)}, seed=0).high > 0.8


def test_the_same_seed_gives_the_same_bounds() -> None:
    rows = {i: (i % 4, 5) for i in range(12)}
    assert clustered(rows, 1) == clustered(rows, 1) != clustered(rows, 2)


@pytest.mark.parametrize("likeness", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("rate", [0.01, 0.02, 0.03, 0.05, 0.1, 0.3, 0.5])
def test_bounds_cover_the_truth(rate: float, likeness: float) -> None:
    """Simulated clusters of a suite, 44 of 5 rows. `likeness` is the correlation of rows of one cluster: a potion that leaks
    does so again and again. With a percentile bootstrap alone the worst of these is covered .63 of the time."""
    rng = np.random.default_rng(7)
    spread = (1 - likeness) / likeness if likeness else None
    covered = 0
    for trial in range(TRIALS):
        rates_C = np.full(44, rate) if spread is None else rng.beta(rate * spread, (1 - rate) * spread, size=44)
        rows = {cluster: (int(k), 5) for cluster, k in enumerate(rng.binomial(5, rates_C))}
        bounds = clustered(rows, trial)
        covered += bounds.low <= rate <= bounds.high
    assert covered >= 0.93 * TRIALS


def test_one_hit_in_many_rows_leaves_more_doubt_than_a_bootstrap_shows() -> None:
    assert clustered({i: (int(i == 0), 5) for i in range(44)}, seed=0).high > wilson(1, 220).high > 0.024


def test_a_rate_is_json() -> None:
    assert json.loads(json.dumps(wilson(1, 2).to_json())).keys() == {"k", "n", "rate", "low", "high"}


def test_kappa_of_a_table_worked_by_hand() -> None:
    # p_o = (20 + 15) / 50 = .7, p_e = (.5 * .6) + (.5 * .4) = .5
    table = {("yes", "yes"): 20, ("yes", "no"): 5, ("no", "yes"): 10, ("no", "no"): 15}
    assert cohen_kappa(table) == pytest.approx(0.4)


def test_kappa_is_undefined_where_chance_explains_everything() -> None:
    assert cohen_kappa({}) is None
    assert cohen_kappa({("no", "no"): 100}) is None


def test_kappa_of_full_agreement_and_of_none() -> None:
    assert cohen_kappa({("a", "a"): 3, ("b", "b"): 4}) == 1.0
    assert cohen_kappa({("a", "b"): 5, ("b", "a"): 5}) == -1.0
