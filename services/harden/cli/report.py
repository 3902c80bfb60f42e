"""harden report: makes a run's report.json and report.html from the log of the run, finished or not."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from harden.cli.log_access import Where, open_log
from harden.cli.reporting.gather import as_json, gather
from harden.cli.reporting.page import render
from harden.cli.reporting.recorded import Recorded, read_run
from harden.cli.reporting.schema import Report
from harden.domain.errors import SetupError
from harden.local.rundir import LocalRun
from harden.trainer import experiment as experiments


def report(
    run: Annotated[Path, Parameter(help="The run's directory.")],
    *,
    json: Annotated[bool, Parameter(help="Print the report as well.")] = False,
) -> None:
    """Makes report.json and report.html of a run again."""
    local = LocalRun(run)
    made = write_report(local, read_kept(local))
    if json:
        print(as_json(made), end="")
    else:
        print("\n".join(where_to_look(run, made)))


def read_kept(run: LocalRun) -> Recorded:
    """What the log of the run says, running or over. SetupError where there is no run or no log of it."""
    if not run.root.is_dir():
        raise SetupError(f"there is no run at {run.root}; `harden demo --run-dir {run.root}` plays one")
    experiment = experiments.load(run.experiment)
    with open_log(Where(run=run.root)) as log:
        return read_run(log.bus, experiment)


def write_report(run: LocalRun, recorded: Recorded) -> Report:
    """Puts the report and its page into the run's directory."""
    made = gather(run.root, recorded)
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
        ("ASR, rows like those trained on", "attack_success", "trained"),
        ("ASR, listed, never attacked", "attack_success", "listed_never_attacked"),
        ("ASR, restricted by property, on no list", "attack_success", "unlisted_by_property"),
        ("ASR, family never trained on", "attack_success", "held_out_family"),
        ("ASR, composed disguises", "attack_success", "composed"),
        ("benign compliance, ordinary requests", "accuracy", "ordinary"),
        ("over-refusal rate, ordinary requests", "refusal", "ordinary"),
    ):
        before, after = getattr(first, part).get(name), getattr(last, part).get(name)
        if before is not None and after is not None:
            bounds = f"(95%: {100 * after.low:.0f} to {100 * after.high:.0f})"
            lines.append(f"  {title:42} {100 * before.rate:5.1f}% -> {100 * after.rate:5.1f}%  {bounds}")
    swaps, failed = sum(r.swaps.count for r in made.rounds), sum(r.swaps.failed for r in made.rounds)
    bouts = sum(r.bouts.scheduled for r in made.rounds)
    lines.append(f"  {bouts} bouts, {swaps} policies swapped in, {failed} requests failed")
    return lines
