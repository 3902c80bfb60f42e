"""Ratios of pairs of turns, and between which bounds their median lies.

A pair is a turn of ours and the peer's turn beside it: both saw the same machine, so their ratio is steadier than either
rate. The interval is of order statistics, which assumes nothing about how ratios are spread: the k-th smallest and the k-th
largest of n hold the median with probability 1 - 2 P(Binomial(n, 1/2) < k).
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.harness import Result, Turns, command_of, ratio

# With fewer pairs no interval holds the median nearly always.
MIN_PAIRS = 5
# The narrowest interval of at least this coverage; five pairs have 93.75 % at most, from the smallest to the largest.
COVERAGE = 0.93


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    median: float
    high: float
    coverage: float

    def to_json(self) -> dict[str, float]:
        return {"low": self.low, "median": self.median, "high": self.high, "coverage": self.coverage}


def interval(ratios: Sequence[float]) -> Interval:
    """Of the median of `ratios`. ValueError for fewer than MIN_PAIRS of them."""
    n = len(ratios)
    if n < MIN_PAIRS:
        raise ValueError(f"an interval needs at least {MIN_PAIRS} pairs, not {n}")
    ordered = sorted(ratios)
    k = max(k for k in range(1, n // 2 + 1) if coverage(n, k) >= COVERAGE)
    return Interval(ordered[k - 1], statistics.median(ordered), ordered[n - k], coverage(n, k))


def coverage(n: int, k: int) -> float:
    """Probability that the median lies between the k-th smallest and the k-th largest of n."""
    return 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2**n


def surely_faster(name: str, turns: Turns, unit: str, peer: str, goal: float, **details: Any) -> Result:
    """A rate whose ratio is the lower end of the interval: what the peer is beaten by even if chance was kind to us.

    With too few pairs for an interval, as in a quick run, the smallest ratio stands for it.
    """
    ratios = [ratio(own.rate, theirs.rate) for own, theirs in zip(turns.ours, turns.peer, strict=True)]
    found = interval(ratios) if len(ratios) >= MIN_PAIRS else None
    low = found.low if found else min(ratios)
    about = {"ratio": found.to_json() if found else None, "pairs": len(ratios), "spread": turns.spread(), **details}
    return Result(name, turns.rates[0], unit, peer, turns.rates[1], low, goal, command_of(name), about)
