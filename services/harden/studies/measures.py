"""What a study compares: figures of the reports of its runs, their means over runs, and differences in pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harden.domain.errors import SetupError
from harden.statistics import mean_interval

# `attack_success.trained` is of the last round, `best_response.trained.after` of the whole run.
MEASURE = r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+){1,2}$"
OF_THE_RUN = ("best_response",)

# A run is one world and seed.
Run = tuple[str, int]
Values = Mapping[Run, float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over `n` runs, or over `n` pairs of runs, with a 95% interval (Student's t)."""

    mean: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, float | int]:
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}


def value_of(report: Mapping[str, Any], path: str) -> float:
    """The figure of a report that the path leads to. Raises SetupError where the run did not measure it."""
    names = path.split(".")
    found: Any = report if names[0] in OF_THE_RUN else report["rounds"][-1]
    for name in names:
        if not isinstance(found, Mapping) or name not in found:
            raise SetupError(
                f"the runs do not measure {path}: there is no {name!r} in their reports; mend `measures` of the study"
            )
        found = found[name]
    return float(found["rate"] if isinstance(found, Mapping) else found)


def mean_of(values: Values) -> Estimate:
    return _estimate(list(values.values()))


def difference(values: Values, reference: Values) -> Estimate:
    """Mean of `values` minus `reference`, each in the same world and with the same seed."""
    shared = [run for run in values if run in reference]
    return _estimate([values[run] - reference[run] for run in shared])


def _estimate(values: Sequence[float]) -> Estimate:
    mean, low, high = mean_interval(values)
    return Estimate(mean, low, high, len(values))
