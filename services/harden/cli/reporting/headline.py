"""The summary of a run: the headline suites of its world, before and after."""

from collections.abc import Sequence
from dataclasses import dataclass

from harden.cli.reporting.schema import Rate, Report

# In the order of the summary.
MEASURES = {"attack_success": "ASR", "accuracy": "benign compliance", "refusal": "over-refusal rate"}


@dataclass(frozen=True, slots=True)
class Figure:
    label: str
    before: Rate
    after: Rate


def figures(report: Report) -> Sequence[Figure]:
    """First and last rate of each headline suite, by measure; of every suite where the world names no headline suite."""
    if not report.rounds:
        return []
    first, last = report.rounds[0], report.rounds[-1]
    headline = [name for name, suite in report.suites.items() if suite.is_headline]
    found = []
    for measure, label in MEASURES.items():
        before, after = getattr(first, measure), getattr(last, measure)
        for name in headline or before:
            if name in before and name in after:
                found.append(Figure(f"{label}, {title_of(report, name)}", before[name], after[name]))
    return found


def title_of(report: Report, name: str) -> str:
    """The title that the world gives the suite; its name without one."""
    suite = report.suites.get(name)
    return suite.title if suite and suite.title else name.replace("_", " ")
