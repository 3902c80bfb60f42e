"""harden demo and harden run: the whole ring on this machine, from start to report."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from harden.cli.output import note
from harden.cli.report import where_to_look
from harden.local.interrupts import Interrupted, Interrupts
from harden.local.play import Plan, StartRing, play
from harden.local.progress import display_for
from harden.local.rundir import LocalRun
from harden.local.services import parse_replicas
from harden.trainer import experiment as experiments
from harden.trainer.experiment import Experiment

DEMO = experiments.shipped("demo")
EXIT_FAILED = 1

Seed = Annotated[int | None, Parameter(help="Random seed of the whole run. Default: the experiment's.")]
WorldName = Annotated[str | None, Parameter(help="World to play in. Default: the experiment's.")]
Rounds = Annotated[int | None, Parameter(help="Rounds to play. Default: the experiment's.")]
Replicas = Annotated[
    list[str] | None,
    Parameter(help="Several processes of a service, such as judge=2; may be given more than once.", negative=""),
]
RunDir = Annotated[Path | None, Parameter(help="Directory of the run. An earlier run in it is replaced.")]
Resume = Annotated[
    bool,
    Parameter(help="Resume the run in the directory from its last checkpoint.", negative=""),
]
InProcess = Annotated[bool, Parameter(help="Everything in this process, repeatably: no Java, no Triton.", negative="")]
InstallSeconds = Annotated[float, Parameter(help="How long installing took, for the report.", show=False)]


def demo(
    *,
    seed: Seed = None,
    world: WorldName = None,
    rounds: Rounds = None,
    replicas: Replicas = None,
    run_dir: RunDir = None,
    in_process: InProcess = False,
    install_seconds: InstallSeconds = 0.0,
) -> int:
    """Hardens the arena's model while it is served, on real Kafka and Triton, and writes the report.

    Everything it starts is stopped at the end, or with Ctrl-C at any time. The run's directory keeps the log of events,
    which `harden bout show`, `harden policy list` and other commands read.
    """
    experiment = with_changes(experiments.load(DEMO), seed, rounds, world)
    return _play(experiment, run_dir or Path("runs/demo"), replicas, in_process, install_seconds)


def run(
    experiment: Annotated[Path, Parameter(help="The experiment file (YAML).")],
    *,
    seed: Seed = None,
    rounds: Rounds = None,
    replicas: Replicas = None,
    run_dir: RunDir = None,
    in_process: InProcess = False,
    resume: Resume = False,
) -> int:
    """Plays an experiment file on a ring on this machine, as the demo does; into runs/<its name>.

    A run that was interrupted goes on with --resume, with the same experiment; only its length and its timeouts may differ.
    """
    loaded = with_changes(experiments.load(experiment), seed, rounds)
    return _play(loaded, run_dir or Path("runs") / loaded.name, replicas, in_process, 0.0, resume=resume)


def with_changes(experiment: Experiment, seed: int | None, rounds: int | None, world: str | None = None) -> Experiment:
    """The experiment with another seed, other rounds and another world, validated as the file is."""
    content = experiment.model_dump(mode="json")
    if seed is not None:
        content["seed"] = seed
    if rounds is not None:
        content["schedule"]["rounds"] = rounds
    if world is not None:
        content["world"] = world
    return experiments.parse(content, "--seed, --rounds and --world")


def _play(
    experiment: Experiment,
    run_dir: Path,
    replicas: list[str] | None,
    in_process: bool,
    install_s: float,
    *,
    resume: bool = False,
) -> int:
    plan = Plan(
        experiment=experiment,
        run=LocalRun(run_dir),
        replicas=parse_replicas(replicas or []),
        install_s=install_s,
        resume=resume,
        in_process=in_process,
        command=" ".join(["harden", *sys.argv[1:]]),
    )
    with Interrupts() as interrupts:
        try:
            start_ring = _starter(in_process)
            with display_for() as display:
                display.say(f"run {experiment.name}, seed {experiment.seed}, into {run_dir}")
                report = play(plan, display, start_ring, interrupts)
        except Interrupted as interruption:
            note(f"stopped by {interruption}; all of its processes have ended")
            return 128 + interruption.number
    for line in where_to_look(run_dir, report):
        print(line)
    if report.examples and not in_process:
        print(f"one bout: harden bout show {report.examples[0].bout_id[:12]} --run {run_dir}")
    return 0 if report.ok else EXIT_FAILED


def _starter(in_process: bool) -> StartRing:
    """What the ring needs of the machine is checked here, before anything of an earlier run is replaced.

    Imported here: the first brings torch, and the second is not needed where there is no Java.
    """
    if in_process:
        from harden.cli import in_process as one_process

        return one_process.start
    from harden.local import ring

    ring.check_machine()
    return ring.start
