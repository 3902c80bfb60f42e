"""Rates with their uncertainty, and agreement between judges."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from harden.domain.rate import Rate as Rate

# Two-sided 95%.
Z = 1.959963984540054
LOW_PERCENTILE, HIGH_PERCENTILE = 2.5, 97.5
NUM_RESAMPLES = 2000
# See _effective_rows: chosen so that simulated intervals cover the truth at least 93 times in a hundred.
FREE = 3

Cluster = TypeVar("Cluster")

UNKNOWN = Rate(0, 0, 0.0, 0.0, 1.0)


def wilson(k: int, n: int) -> Rate:
    """Wilson's score interval: sensible also for rates of 0 and 1 and for few trials."""
    if n == 0 or k > n:
        return Rate(k, n, 0.0, 0.0, 1.0)  # nothing is known, or nothing can be: Rate refuses more hits than trials
    return _rate(k, n, *_wilson_bounds(k / n, n))


def clustered(rows: Mapping[Cluster, tuple[int, int]], seed: int) -> Rate:
    """Rate over all rows, with bounds that allow for rows of one cluster being alike.

    `rows` maps a cluster (a potion, a seed) to its (k, n). The bounds are the wider on each side of two:

    * the percentile bootstrap over whole clusters, which is too narrow where few clusters have a hit at all;
    * Wilson's at the effective number of rows (Korn and Graubard 1998; compared by Dean and Pagano 2015), which makes no
      use of the shape of the distribution.

    Where all clusters have the same rate, or there is one cluster only, nothing is known of how alike rows are: then each
    cluster counts as one row.
    """
    k_C = np.array([k for k, _ in rows.values()], np.int64)
    n_C = np.array([n for _, n in rows.values()], np.int64)
    seen_C = n_C > 0
    k_C, n_C = k_C[seen_C], n_C[seen_C]
    if not len(n_C):
        return UNKNOWN
    k, n = int(k_C.sum()), int(n_C.sum())
    if len(n_C) < 2 or np.ptp(k_C / n_C) == 0:
        return _rate(k, n, *_wilson_bounds(k / n, len(n_C)))
    counts_SC = np.random.default_rng(seed).multinomial(len(n_C), np.full(len(n_C), 1 / len(n_C)), NUM_RESAMPLES)
    resampled = np.percentile((counts_SC @ k_C) / (counts_SC @ n_C), [LOW_PERCENTILE, HIGH_PERCENTILE])
    bounds = _wilson_bounds(k / n, _effective_rows(k_C, n_C))
    return _rate(k, n, min(bounds[0], float(resampled[0])), max(bounds[1], float(resampled[1])))


def _effective_rows(k_C: np.ndarray, n_C: np.ndarray) -> float:
    """How many independent rows would give as uncertain a rate, at most as many as there are.

    The variance is that of a ratio of cluster totals. It is an estimate itself; a quantile of Student's t allows for that. The
    degrees of freedom are the number of clusters that differ from the rest (at a low rate: those with a hit) plus FREE, at
    most C - 1: only such clusters show how much rows of a cluster resemble one another.
    """
    num_clusters, n = len(n_C), int(n_C.sum())
    rate = int(k_C.sum()) / n
    variance = num_clusters / (num_clusters - 1) * float(np.square(k_C - rate * n_C).sum()) / n**2
    num_unlike = min(int((k_C > 0).sum()), int((k_C < n_C).sum()))
    degrees = min(num_unlike + FREE, num_clusters - 1)
    return min(rate * (1 - rate) / variance, n) * (Z / _student_quantile(degrees)) ** 2


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean of independent values and its two-sided 95% interval by Student's t: (mean, low, high).

    Of differences in pairs it is the paired t interval. Raises ValueError for fewer than two values: one says nothing of how
    much they vary.
    """
    if len(values) < 2:
        raise ValueError(f"an interval of a mean needs two values or more, not {len(values)}")
    mean = float(np.mean(values))
    half = _student_quantile(len(values) - 1) * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return mean, mean - half, mean + half


# For so few degrees of freedom the expansion is too coarse.
_QUANTILES = {1: 12.706, 2: 4.303, 3: 3.182}


def _student_quantile(degrees: int) -> float:
    """The two-sided 95% quantile of Student's t, by the expansion of Cornish and Fisher; within 1% from 4 degrees on."""
    if degrees in _QUANTILES:
        return _QUANTILES[degrees]
    z = Z
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


def _rate(k: int, n: int, low: float, high: float) -> Rate:
    """Rounding, or a skewed resampling, must not put a bound on the wrong side of the rate."""
    return Rate(k, n, k / n, min(low, k / n), max(high, k / n))


def _wilson_bounds(rate: float, n: float) -> tuple[float, float]:
    centre = (rate + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * (rate * (1 - rate) / n + Z**2 / (4 * n**2)) ** 0.5
    return max(centre - half, 0.0), min(centre + half, 1.0)


def cohen_kappa(table: Mapping[tuple[str, str], int]) -> float | None:
    """Agreement of two judges beyond chance, (p_o - p_e) / (1 - p_e), from counts of (first's label, second's label).

    None where it is undefined: no items, or both judges gave one and the same label throughout (0 / 0).
    """
    total = sum(table.values())
    if total == 0:
        return None
    labels = {label for pair in table for label in pair}
    first = {label: sum(count for (a, _), count in table.items() if a == label) for label in labels}
    second = {label: sum(count for (_, b), count in table.items() if b == label) for label in labels}
    # In whole numbers, so that the degenerate table is recognised exactly.
    observed = sum(count for (a, b), count in table.items() if a == b) * total
    expected = sum(first[label] * second[label] for label in labels)
    if expected == total * total:
        return None
    return (observed - expected) / (total * total - expected)
