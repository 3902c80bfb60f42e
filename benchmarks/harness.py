"""What every benchmark shares: turns taken one after the other, medians, and a ratio that is better the higher it is.

A ratio compares what ran in the same process within seconds, so that a busy or slow machine touches both sides alike.
"""

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

COMMAND = "make bench ARGS='--only {}'"


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table. `ratio`: higher is better for every unit, 1 is equal. `goal`: the lowest acceptable ratio."""

    name: str
    value: float
    unit: str
    peer: str
    peer_value: float
    ratio: float
    goal: float
    command: str
    details: Mapping[str, Any] = field(default_factory=dict)
    # Bounds of the median ratio over the pairs (see `interval_of`); None where it was not measured in pairs.
    interval: tuple[float, float] | None = None
    # A goal for the lower bound asks more than one for the ratio itself.
    goal_is_for_lower_bound: bool = False

    @property
    def is_met(self) -> bool:
        return self._judged >= self.goal

    @property
    def _judged(self) -> float:
        if not self.goal_is_for_lower_bound:
            return self.ratio
        assert self.interval is not None, "a goal for the lower bound needs an interval"
        return self.interval[0]

    def to_json(self, machine: Mapping[str, Any]) -> dict[str, Any]:
        content = {key: _rounded(value) for key, value in asdict(self).items()}
        del content["goal_is_for_lower_bound"]
        of_what = " (lower bound)" if self.goal_is_for_lower_bound else ""
        return {**content, "goal": f">= {self.goal:.3g}{of_what}", "met": self.is_met, "machine": dict(machine)}


def faster(name: str, ours: float, unit: str, peer: str, theirs: float, goal: float, **details: Any) -> Result:
    """A rate: more is better."""
    return Result(name, ours, unit, peer, theirs, ratio(ours, theirs), goal, command_of(name), details)


def shorter(name: str, ours: float, unit: str, peer: str, theirs: float, goal: float, **details: Any) -> Result:
    """A duration: less is better, so the ratio is the peer's over ours."""
    return Result(name, ours, unit, peer, theirs, ratio(theirs, ours), goal, command_of(name), details)


def paired(
    name: str, turns: "Turns", unit: str, peer: str, goal: float, *, for_lower_bound: bool = False, **details: Any
) -> Result:
    """A rate measured in pairs: the ratio is the median of the pairs' ratios, with its interval."""
    ours, theirs = turns.rates
    ratios = turns.ratios()
    bounds = interval_of(ratios)
    return Result(
        name,
        ours,
        unit,
        peer,
        theirs,
        bounds.median,
        goal,
        command_of(name),
        {**details, "pairs": len(ratios), "confidence": bounds.confidence, "spread": turns.spread()},
        (bounds.low, bounds.high),
        for_lower_bound,
    )


def ratio(numerator: float, denominator: float) -> float:
    """ValueError where there is nothing to divide by: a benchmark that measured nothing has no ratio."""
    if denominator <= 0:
        raise ValueError(f"a ratio needs something measured on both sides, not {numerator} and {denominator}")
    return numerator / denominator


def command_of(name: str) -> str:
    """What measures this line again: its benchmark, which may have several lines."""
    return COMMAND.format(benchmark_of(name))


def benchmark_of(name: str) -> str:
    """`bus_vs_kafka_python` of `bus_vs_kafka_python.produce_1kB`."""
    return name.split(".")[0]


@dataclass(frozen=True, slots=True)
class Turn:
    """One repetition of one side: how much it did in how long."""

    amount: float
    seconds: float

    @property
    def rate(self) -> float:
        return ratio(self.amount, self.seconds)


@dataclass
class Turns:
    """Of both sides, in the order in which they were taken."""

    ours: list[Turn] = field(default_factory=list)
    peer: list[Turn] = field(default_factory=list)

    @property
    def rates(self) -> tuple[float, float]:
        """Median of ours and of the peer's."""
        return median_rate(self.ours), median_rate(self.peer)

    def ratios(self) -> list[float]:
        """Ours over the peer's, pair by pair: what slows the machine for a minute touches both of a pair."""
        return [ratio(ours.rate, peer.rate) for ours, peer in zip(self.ours, self.peer, strict=True)]

    def spread(self) -> dict[str, list[float]]:
        """Lowest and highest rate of each, so that a reader sees how steady the machine was."""
        return {name: _ends([turn.rate for turn in turns]) for name, turns in (("ours", self.ours), ("peer", self.peer))}


def alternate(ours: Callable[[], Turn], peer: Callable[[], Turn], repetitions: int, *, warm_up: int = 1) -> Turns:
    """A B A B ...: both sides see the same machine."""
    for _ in range(warm_up):
        ours()
        peer()
    turns = Turns()
    for _ in range(repetitions):
        turns.ours.append(ours())
        turns.peer.append(peer())
    return turns


@dataclass(frozen=True, slots=True)
class Interval:
    """The median of some figures, and an interval that holds the median of what they were drawn from."""

    median: float
    low: float
    high: float
    confidence: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)


def interval_of(values: Sequence[float], confidence: float = 0.9) -> Interval:
    """Of order statistics (sign test), which assumes nothing of the distribution: with n values the k-th lowest and the
    k-th highest enclose the median with probability 1 - 2 P(Binomial(n, 1/2) < k). The largest k that gives `confidence`;
    the ends, and what confidence they have, where none does. Five values reach 0.9375.
    """
    if not values:
        raise ValueError("nothing was measured")
    ordered, n = sorted(values), len(values)

    def held_by(k: int) -> float:
        return 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2**n

    k = max((k for k in range(1, n // 2 + 1) if held_by(k) >= confidence), default=1)
    return Interval(statistics.median(ordered), ordered[k - 1], ordered[n - k], max(0.0, held_by(k)))


def paired_ratios(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """Neighbouring turns saw the same machine, so each pair has a ratio of its own."""
    return interval_of([ratio(a, b) for a, b in zip(numerators, denominators, strict=True)])


def timed(work: Callable[[], float], clock: Callable[[], float] = time.perf_counter) -> Turn:
    """`work` returns how much it did."""
    began = clock()
    amount = work()
    return Turn(amount, clock() - began)


def median_rate(turns: Sequence[Turn]) -> float:
    return statistics.median(turn.rate for turn in turns)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed (nearest rank)."""
    if not values:
        raise ValueError("nothing was measured")
    rank = max(1, -(-len(values) * round(share * 1000) // 1000))
    return sorted(values)[rank - 1]


def machine() -> dict[str, Any]:
    """What a figure depends on besides the code."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS", "not set"),
        "load_1m": round(os.getloadavg()[0], 2),
    }


def _ends(values: Sequence[float]) -> list[float]:
    return [min(values), max(values)]


def _rounded(value: Any) -> Any:
    """Four significant figures: what follows is noise."""
    match value:
        case bool() | int() | str() | None:
            return value
        case float():
            return float(f"{value:.4g}")
        case Mapping():
            return {key: _rounded(one) for key, one in value.items()}
        case list() | tuple():
            return [_rounded(one) for one in value]
    return value
