"""harden report: makes a run's report.json and report.html from the log of the run, finished or not."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from harden.cli.log_access import Where, open_log
from harden.cli.reporting.gather import as_json, gather, to_text
from harden.cli.reporting.headline import figures
from harden.cli.reporting.page import render
from harden.cli.reporting.recorded import Recorded, read_run
from harden.cli.reporting.schema import Report
from harden.cli.reporting.timings import apart
from harden.domain.errors import SetupError
from harden.local.rundir import LocalRun
from harden.trainer import experiment as experiments


def report(
    run: Annotated[Path, Parameter(help="The run's directory.")],
    *,
    json: Annotated[bool, Parameter(help="Print the report as well.")] = False,
) -> None:
    """Makes report.json and report.html of a run again; of a run in one process also timings.json."""
    local = LocalRun(run)
    made = write_report(local, read_kept(local))
    if json:
        print((local.root / "report.json").read_text(encoding="utf-8"), end="")
    else:
        print("\n".join(where_to_look(run, made)))


def read_kept(run: LocalRun) -> Recorded:
    """The records of a run, running or over. SetupError where there is no run or no log of it."""
    if not run.root.is_dir():
        raise SetupError(f"there is no run at {run.root}; `harden demo --run-dir {run.root}` plays one")
    experiment = experiments.load(run.experiment)
    with open_log(Where(run=run.root)) as log:
        return read_run(log.bus, experiment)


def write_report(run: LocalRun, recorded: Recorded) -> Report:
    """Puts the report and its page into the run's directory; of a run in one process, what was timed into a file of its own."""
    made = gather(run.root, recorded)
    if run.kept_log.is_file():
        content, timings = apart(made)
        run.write_text("timings.json", to_text(timings))
        run.write_text("report.json", to_text(content))
    else:
        run.write_text("report.json", as_json(made))
    run.write_text("report.html", render(made))
    return made


def where_to_look(run: Path, made: Report) -> list[str]:
    """The summary of the run, and where its report is."""
    lines = [*summary(made), f"report: {run / 'report.html'} (figures: {run / 'report.json'})"]
    if made.failed:
        lines.insert(0, f"the run failed: {made.failed}")
    return lines


def summary(made: Report) -> list[str]:
    """The headline figures before and after, and the number of bouts, swaps and failed requests."""
    if not made.rounds:
        return ["no round was finished"]
    lines = []
    shown = figures(made)
    width = max((len(figure.label) for figure in shown), default=0)
    for figure in shown:
        before, after = figure.before, figure.after
        bounds = f"(95%: {100 * after.low:.0f} to {100 * after.high:.0f})"
        lines.append(f"  {figure.label:{width}} {100 * before.rate:5.1f}% -> {100 * after.rate:5.1f}%  {bounds}")
    swaps, failed = sum(r.swaps.count for r in made.rounds), sum(r.swaps.failed for r in made.rounds)
    bouts = sum(r.bouts.scheduled for r in made.rounds)
    lines.append(f"  {bouts} bouts, {swaps} policies swapped in, {failed} requests failed")
    return lines
