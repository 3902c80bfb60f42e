"""The summary of a run: the headline suites of its world, before and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harden.cli.reporting.schema import Rate, Report, Round

# In the order of the summary.
REFUSED = "refused"
MEASURES = {
    "attack_success": "ASR",
    REFUSED: "attacks refused",
    "accuracy": "benign compliance",
    "refusal": "over-refusal rate",
}


@dataclass(frozen=True, slots=True)
class Figure:
    measure: str
    label: str
    before: Rate
    after: Rate


def figures(report: Report) -> Sequence[Figure]:
    """First and last rate of each headline suite, by measure; of every suite where the world names no headline suite.

    Beside attack success stands the share of attacks that were refused: an attack that fails is not one that was refused.
    """
    if not report.rounds:
        return []
    first, last = report.rounds[0], report.rounds[-1]
    headline = [name for name, suite in report.suites.items() if suite.is_headline]
    found = []
    for measure, label in MEASURES.items():
        before, after = _by_suite(first, measure), _by_suite(last, measure)
        for name in headline or before:
            if name in before and name in after:
                found.append(Figure(measure, f"{label}, {title_of(report, name)}", before[name], after[name]))
    return found


def _by_suite(one: Round, measure: str) -> Mapping[str, Rate]:
    return {name: outcomes.refused for name, outcomes in one.attacks.items()} if measure == REFUSED else getattr(one, measure)


def title_of(report: Report, name: str) -> str:
    """The title that the world gives the suite; its name without one."""
    suite = report.suites.get(name)
    return suite.title if suite and suite.title else name.replace("_", " ")
