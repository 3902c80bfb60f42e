"""harden report: makes a run's report.json and report.html from what the run wrote, finished or not."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from harden.cli.reporting.gather import as_json, gather
from harden.cli.reporting.page import render
from harden.cli.reporting.schema import Report
from harden.local.rundir import LocalRun


def report(
    run: Annotated[Path, Parameter(help="The run's directory.")],
    *,
    json: Annotated[bool, Parameter(help="Print the report as well.")] = False,
) -> None:
    """Makes report.json and report.html of a run again."""
    made = write_report(LocalRun(run))
    if json:
        print(as_json(made), end="")
    else:
        print("\n".join(where_to_look(run, made)))


def write_report(run: LocalRun) -> Report:
    """Gathers the report of the run and puts both files beside what they were made from."""
    made = gather(run.root)
    run.write_text("report.json", as_json(made))
    run.write_text("report.html", render(made))
    return made


def where_to_look(run: Path, made: Report) -> list[str]:
    """Lines that tell a person what the run showed and where the rest is."""
    lines = [*summary(made), f"report: {run / 'report.html'} (figures: {run / 'report.json'})"]
    if made.failed:
        lines.insert(0, f"the run failed: {made.failed}")
    return lines


def summary(made: Report) -> list[str]:
    """First and last figure of what the run is about."""
    if not made.rounds:
        return ["no round was finished"]
    first, last = made.rounds[0], made.rounds[-1]
    lines = []
    for title, part, name in (
        ("attacks that work, trained on", "attack_success", "train"),
        ("attacks that work, potions never seen", "attack_success", "held_out_potion"),
        ("attacks that work, family never seen", "attack_success", "held_out_family"),
        ("ordinary requests answered well", "accuracy", "ordinary"),
        ("ordinary requests refused", "refusal", "ordinary"),
    ):
        before, after = getattr(first, part).get(name), getattr(last, part).get(name)
        if before is not None and after is not None:
            bounds = f"(95%: {100 * after.low:.0f} to {100 * after.high:.0f})"
            lines.append(f"  {title:40} {100 * before.rate:5.1f}% -> {100 * after.rate:5.1f}%  {bounds}")
    swaps, failed = sum(r.swaps.count for r in made.rounds), sum(r.swaps.failed for r in made.rounds)
    bouts = sum(r.bouts.scheduled for r in made.rounds)
    lines.append(f"  {bouts} bouts, {swaps} policies swapped in, {failed} requests failed")
    return lines
