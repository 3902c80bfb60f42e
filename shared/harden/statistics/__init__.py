"""Rates with their uncertainty, and agreement between judges."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from harden.domain.rate import Rate as Rate

# Two-sided 95%.
Z = 1.959963984540054
LOW_PERCENTILE, HIGH_PERCENTILE = 2.5, 97.5
NUM_RESAMPLES = 2000

Cluster = TypeVar("Cluster")

UNKNOWN = Rate(0, 0, 0.0, 0.0, 1.0)


def wilson(k: int, n: int) -> Rate:
    """Wilson's score interval: sensible also for rates of 0 and 1 and for few trials."""
    if n == 0 or k > n:
        return Rate(k, n, 0.0, 0.0, 1.0)  # nothing is known, or nothing can be: Rate refuses more hits than trials
    return _rate(k, n, *_wilson_bounds(k / n, n))


def clustered(rows: Mapping[Cluster, tuple[int, int]], seed: int) -> Rate:
    """Rate over all rows; the bounds resample whole clusters (percentile bootstrap), since rows of one cluster are alike.

    `rows` maps a cluster (a potion, a seed) to its (k, n). With fewer than two clusters, or where all clusters have the
    same rate, resampling shows no spread although the truth may have some: then the bounds are Wilson's over the clusters
    themselves, each one trial.
    """
    k_C = np.array([k for k, _ in rows.values()], np.int64)
    n_C = np.array([n for _, n in rows.values()], np.int64)
    seen_C = n_C > 0
    k_C, n_C = k_C[seen_C], n_C[seen_C]
    if not len(n_C):
        return UNKNOWN
    k, n = int(k_C.sum()), int(n_C.sum())
    rates_C = k_C / n_C
    if len(n_C) < 2 or np.ptp(rates_C) == 0:
        low, high = _wilson_bounds(k / n, len(n_C))
    else:
        counts_SC = np.random.default_rng(seed).multinomial(len(n_C), np.full(len(n_C), 1 / len(n_C)), NUM_RESAMPLES)
        low, high = np.percentile((counts_SC @ k_C) / (counts_SC @ n_C), [LOW_PERCENTILE, HIGH_PERCENTILE])
    return _rate(k, n, float(low), float(high))


def _rate(k: int, n: int, low: float, high: float) -> Rate:
    """Rounding, or a skewed resampling, must not put a bound on the wrong side of the rate."""
    return Rate(k, n, k / n, min(low, k / n), max(high, k / n))


def _wilson_bounds(rate: float, n: int) -> tuple[float, float]:
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
