"""The commands that start the services of a local ring, and the settings each gets."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from harden.defender_inference.config import GuardSettings
from harden.domain.errors import SetupError
from harden.local.children import Command
from harden.local.rundir import LocalRun
from harden.trainer.experiment import Experiment
from harden.worlds import registry

REPLICABLE = ("attacker", "defender_inference", "judge")
TRAINER = "trainer"
MAX_REPLICAS = 16


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the services find what they need."""

    bootstrap_servers: str
    triton_grpc: str


def parse_replicas(given: list[str]) -> dict[str, int]:
    """`["judge=2"]` as a mapping that names every service. SetupError for anything else."""
    replicas = dict.fromkeys(REPLICABLE, 1)
    for one in given:
        name, _, number = one.partition("=")
        name = name.replace("-", "_")
        if name == TRAINER:
            raise SetupError("--replicas trainer: there is one trainer, a second one would be fenced off; leave it out")
        if name not in replicas:
            raise SetupError(f"--replicas {one}: there is no service {name!r}; one of {', '.join(REPLICABLE)}, such as judge=2")
        if not number.isdecimal() or not 1 <= int(number) <= MAX_REPLICAS:
            raise SetupError(f"--replicas {one}: give a number from 1 to {MAX_REPLICAS}, such as {name}=2")
        replicas[name] = int(number)
    return replicas


def names(replicas: Mapping[str, int]) -> list[str]:
    """Of the processes: `judge`, then `judge-2` and so on; the trainer last."""
    workers = [name if i == 0 else f"{name}-{i + 1}" for name, count in replicas.items() for i in range(count)]
    return [*workers, TRAINER]


def guard_of(experiment: Experiment) -> GuardSettings | None:
    """The guard before the defenders of the game and of its side games. None where the experiment has none.

    SetupError where it asks for one that its world does not have.
    """
    if not experiment.guard:
        return None
    registry.guard_of(experiment.world)
    slots = experiment.policies.slots
    return GuardSettings(world=experiment.world, asks=slots.stable, slots=(slots.defender, slots.side))


def commands(
    run: LocalRun, world: str, guard: GuardSettings | None, admin_ports: Mapping[str, int], addresses: Addresses
) -> list[Command]:
    """One for every name in `admin_ports`."""
    return [_command(name, port, run, world, guard, addresses) for name, port in admin_ports.items()]


def _command(
    name: str, admin_port: int, run: LocalRun, world: str, guard: GuardSettings | None, addresses: Addresses
) -> Command:
    service = name.split("-")[0]
    environment = {
        "HARDEN_KAFKA__BOOTSTRAP_SERVERS": addresses.bootstrap_servers,
        "HARDEN_STORE__URI": str(run.store),
        "HARDEN_ADMIN__PORT": str(admin_port),
        "HARDEN_LOG__FORMAT": "json",
        # A stop should take seconds; a run that is over does not need unfinished work.
        "HARDEN_WORKER__DRAIN_TIMEOUT_S": "2",
        "PYTHONUNBUFFERED": "1",
    }
    match service:
        case "attacker" | "defender_inference":
            environment[f"HARDEN_{service.upper()}__TRITON_URL"] = addresses.triton_grpc
    match service:
        case "defender_inference" if guard is not None:
            environment["HARDEN_DEFENDER_INFERENCE__GUARD"] = guard.model_dump_json()
        case "attacker" | "judge":
            environment[f"HARDEN_{service.upper()}__WORLD"] = world
        case "trainer":
            environment["HARDEN_TRAINER__EXPERIMENT"] = str(run.experiment)
            environment["HARDEN_TRAINER__RUN_DIR"] = str(run.root)
            environment["HARDEN_KEYS__SIGNING_KEY_FILE"] = str(run.signing_key)
            environment["HARDEN_KEYS__VERIFY_KEY_FILES"] = json.dumps([str(run.verify_key)])
    argv = [sys.executable, "-m", f"harden.{service}.main"]
    return Command(name=name, argv=argv, log=run.logs / f"{name}.log", environment=environment)
