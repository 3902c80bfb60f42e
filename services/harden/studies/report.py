"""The report of a study: one JSON file, a page and a table, all made from the reports of its runs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harden.studies.jobs import Jobs
from harden.studies.measures import Estimate, Values, difference, mean_of, value_of
from harden.studies.study import Planned

SCHEMA = "harden.study/1"
# With fewer runs an arm has no interval: two or three may agree by chance.
MIN_RUNS = 4


@dataclass(frozen=True, slots=True)
class ArmMeasure:
    """One figure of one arm: its mean over all runs, by world, and against the reference. None: too few runs are finished."""

    mean: Estimate | None
    by_world: Mapping[str, float]
    against_reference: Estimate | None

    def to_json(self) -> dict[str, Any]:
        return {
            "mean": self.mean.to_json() if self.mean else None,
            "by_world": {world: round(value, 4) for world, value in self.by_world.items()},
            "against_reference": self.against_reference.to_json() if self.against_reference else None,
        }


def gather(planned: Planned, jobs: Jobs, command: str) -> dict[str, Any]:
    """The report as JSON, of the jobs that are finished so far. `ok` says whether all are."""
    study = planned.study
    finished = [(job, jobs.report(job)) for job in planned.jobs if jobs.is_finished(job)]
    reference_values: dict[str, Values] = {}
    arms: dict[str, Any] = {}
    for name in (study.reference, *(arm for arm in study.arms if arm != study.reference)):
        reports = {(job.world, job.seed): report for job, report in finished if job.arm == name}
        measured = {}
        for path in study.measures:
            values = {run: value_of(report, path) for run, report in reports.items()}
            if name == study.reference:
                reference_values[path] = values
            measured[path] = _measure(values, reference_values[path], is_reference=name == study.reference).to_json()
        arms[name] = {"title": study.arms[name].title, "runs": len(reports), "measures": measured}
    return {
        "schema": SCHEMA,
        "ok": len(finished) == len(planned.jobs),
        "name": study.name,
        "protocol": planned.protocol,
        "command": command,
        "split": sorted({report["split"] for _, report in finished}),
        "worlds": list(study.worlds),
        "seeds": list(study.seeds),
        "runs": {"planned": len(planned.jobs), "finished": len(finished)},
        "interval": "95%, Student's t over runs (world and seed); differences in pairs of one world and seed",
        "reference": study.reference,
        "measures": dict(study.measures),
        "arms": {name: arms[name] for name in study.arms},
    }


def _measure(values: Values, reference: Values, *, is_reference: bool) -> ArmMeasure:
    worlds = dict.fromkeys(world for world, _ in values)
    by_world = {world: _mean([value for (where, _), value in values.items() if where == world]) for world in worlds}
    num_pairs = len(values.keys() & reference.keys())
    return ArmMeasure(
        mean_of(values) if len(values) >= MIN_RUNS else None,
        by_world,
        difference(values, reference) if num_pairs >= MIN_RUNS and not is_reference else None,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def write(report: Mapping[str, Any], out: Path) -> None:
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (out / "report.html").write_text(to_page(report), encoding="utf-8")


def to_markdown(report: Mapping[str, Any]) -> str:
    """A table: a line for each measure, a column for each arm. Differences that exclude 0 are bold."""
    arms = report["arms"]
    lines = [
        "| measure | " + " | ".join(arm["title"] for arm in arms.values()) + " |",
        "|---" * (len(arms) + 1) + "|",
    ]
    for path, title in report["measures"].items():
        cells = [_markdown_cell(arm["measures"][path]) for arm in arms.values()]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _markdown_cell(measure: Mapping[str, Any]) -> str:
    mean, change = measure["mean"], measure["against_reference"]
    if mean is None:
        return "–"
    text = short(mean["mean"])
    if change is None:
        return text
    difference_text = f"{signed(change['mean'])} ({signed(change['low'])} to {signed(change['high'])})"
    return f"{text}, **{difference_text}**" if is_clear(change) else f"{text}, {difference_text}"


def is_clear(change: Mapping[str, float]) -> bool:
    """Whether the interval of a difference excludes 0."""
    return change["low"] > 0 or change["high"] < 0


def short(value: float) -> str:
    """`.07` and not `0.07`."""
    return f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"


def signed(value: float) -> str:
    return f"{'−' if round(value, 2) < 0 else '+'}{short(abs(value))}"


def to_page(report: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(short=short, signed=signed)
    environment.tests.update(clear=is_clear)
    return environment.get_template("page.html.j2").render(
        report=report, plots=[_plot(report, path) for path in report["measures"]]
    )


# Of a plot, in its own units: names stand to the left of X0.
X0, X1, ROW = 190.0, 470.0, 22.0


def _plot(report: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Means with intervals, an arm a row, on one axis from 0 to 1 (or as far as the intervals reach)."""
    shown = [(arm["title"], arm["measures"][path]["mean"]) for arm in report["arms"].values() if arm["measures"][path]["mean"]]
    low = min([0.0, *(mean["low"] for _, mean in shown)])
    high = max([1.0, *(mean["high"] for _, mean in shown)])

    def x(value: float) -> float:
        return round(X0 + (X1 - X0) * (value - low) / (high - low), 1)

    rows = [
        {
            "title": title,
            "y": 16 + ROW * i,
            "x": x(mean["mean"]),
            "low": x(mean["low"]),
            "high": x(mean["high"]),
            "hint": f"{short(mean['mean'])} ({short(mean['low'])} to {short(mean['high'])}), {mean['n']} runs",
        }
        for i, (title, mean) in enumerate(shown)
    ]
    ticks = [{"x": x(value), "text": f"{100 * value:.0f}"} for value in (0.0, 0.25, 0.5, 0.75, 1.0)]
    return {"title": report["measures"][path], "rows": rows, "ticks": ticks, "height": 34 + ROW * len(rows)}
