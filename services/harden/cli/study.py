"""harden study: plays an experiment in several versions and compares them."""

import os
import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from harden.cli import output
from harden.domain.errors import SetupError
from harden.local.interrupts import Interrupted, Interrupts
from harden.studies import report as reports
from harden.studies import study as studies
from harden.studies.jobs import Ended, Jobs
from harden.studies.study import Planned

app = App(name="study", help="Studies: an experiment in several versions, over worlds and seeds, compared in pairs.")
EXIT_FAILED = 1

File = Annotated[Path, Parameter(help="The study file (YAML).")]
Out = Annotated[Path | None, Parameter(help="Directory of the study. Default: runs/<its name>.")]


@app.command(name="run")
def run_study(
    study: File,
    *,
    out: Out = None,
    jobs: Annotated[int | None, Parameter(help="Runs side by side, one thread each. Default: one a core.")] = None,
) -> int:
    """Plays every run of a study that is not finished, and writes the report. Interrupted, it goes on where it was."""
    planned = studies.load(study)
    home = _home(planned, out)
    playing = Jobs(home, jobs or len(os.sched_getaffinity(0)))
    home.mkdir(parents=True, exist_ok=True)
    progress = _Progress(len(planned.jobs), sum(playing.is_finished(job) for job in planned.jobs))
    with Interrupts():
        try:
            playing.play(planned.jobs, progress.ended)
        except Interrupted as interruption:
            output.note(f"stopped by {interruption}; run it again to go on")
            return 128 + interruption.number
    report = reports.gather(planned, playing, " ".join(["harden", *sys.argv[1:]]))
    reports.write(report, home)
    print(f"report: {home / 'report.html'} (figures: {home / 'report.json'})")
    if not report["ok"]:
        output.note(f"{progress.num_failed} runs failed; run it again to go on")
        return EXIT_FAILED
    return 0


@app.command(name="report")
def show_report(
    study: File,
    *,
    out: Out = None,
    json: Annotated[bool, Parameter(help="Answer in JSON.")] = False,
    markdown: Annotated[bool, Parameter(help="Answer with a table in Markdown.")] = False,
) -> None:
    """The comparison, of the runs that are finished so far."""
    planned = studies.load(study)
    home = _home(planned, out)
    if not home.is_dir():
        raise SetupError(f"there is no study at {home}; `harden study run {study}` plays it")
    report = reports.gather(planned, Jobs(home, 1), f"harden study report {study}")
    if json:
        output.as_json(report)
    elif markdown:
        print(reports.to_markdown(report))
    else:
        _print(report)


def _home(planned: Planned, out: Path | None) -> Path:
    return (out or Path("runs") / planned.study.name).absolute()


def _print(report: dict) -> None:
    arms = report["arms"]
    rows = []
    for path, title in report["measures"].items():
        cells = []
        for arm in arms.values():
            mean, change = arm["measures"][path]["mean"], arm["measures"][path]["against_reference"]
            text = reports.short(mean["mean"]) if mean else "–"
            cells.append(f"{text} ({reports.signed(change['low'])}..{reports.signed(change['high'])})" if change else text)
        rows.append((title, *cells))
    output.table(("measure", *(arm["title"] for arm in arms.values())), rows)
    print(f"\n{report['runs']['finished']} of {report['runs']['planned']} runs; in brackets: 95% interval of the difference")


class _Progress:
    """A line for each run that ends, with the time that is left at this pace."""

    def __init__(self, total: int, finished: int) -> None:
        self._total, self._before, self._done = total, finished, 0
        self._began = time.monotonic()
        self.num_failed = 0
        if finished:
            output.note(f"{finished} of {total} runs are finished already")

    def ended(self, one: Ended) -> None:
        self._done += 1
        self.num_failed += one.failed is not None
        left = self._total - self._before - self._done
        minutes = (time.monotonic() - self._began) / self._done * left / 60
        how = f"FAILED: {one.failed}" if one.failed else f"{one.seconds:.0f} s"
        output.note(f"{self._before + self._done}/{self._total} {one.job.path}: {how}; about {minutes:.0f} min left")
