"""The whole ring in this process on any bus: every service's `build`, real models of the arena, a game of a few steps."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

from harden.attacker import main as attacker
from harden.attacker.config import AttackerSettings
from harden.bus.ports import Bus
from harden.cli.seeds import submit_seeds
from harden.config import WorkerSettings
from harden.defender_inference import main as defender_inference
from harden.defender_inference.config import DefenderInferenceSettings
from harden.judge import main as judge
from harden.judge.config import JudgeSettings
from harden.local.services import guard_of
from harden.runtime.worker import Worker
from harden.serving.follower import Source
from harden.serving.in_process import InProcessPolicies
from harden.serving.transformers_loader import TransformersLoader
from harden.store.object_store import ObjectStore
from harden.store.signing import Signer, Verifier, generate_keypair
from harden.trainer import experiment as experiments
from harden.trainer.config import TrainerSettings
from harden.trainer.experiment import Experiment
from harden.trainer.game.trainer import Trainer
from harden.trainer.main import Surroundings, build
from harden.worlds import registry

EXPERIMENT = {
    "name": "loop",
    "schedule": {"rounds": 1, "publish_every": 2, "bout_timeout_s": 60.0},
    "defender": {
        "steps": 3,
        "grpo": {
            "bouts_per_step": 8,
            "num_attacks": 1,
            "num_responses": 4,
            "mix": [
                {"name": "ordinary", "category": "ordinary", "attacks": "transform", "share": 0.5},
                {"name": "attack", "category": "harmful", "attacks": "policy", "share": 0.25},
                {"name": "replay", "category": "harmful", "attacks": "recorded", "share": 0.25},
            ],
        },
    },
    "attacker": {
        "steps": 2,
        "grpo": {
            "bouts_per_step": 3,
            "num_attacks": 3,
            "num_responses": 1,
            "mix": [{"name": "attack", "category": "harmful", "attacks": "policy", "share": 1.0}],
        },
    },
    # A game this short may do anything; what is looked at here is bookkeeping.
    "monitor": {"max_over_refusal": None, "min_benign_accuracy": None, "max_zero_variance": None, "max_undecided": None},
    "measure": {"seeds": 3, "attacks_per_seed": 2},
    "evaluation": {"rows": 10},
}


def an_experiment(**changes: object) -> Experiment:
    return experiments.parse({**EXPERIMENT, **changes}, "the test's experiment")


@dataclass
class Loop:
    """`trainer()` builds one where the run directory says the game is; building another fences off the one before."""

    bus: Bus
    experiment: Experiment
    run_dir: Path
    store: ObjectStore
    signer: Signer
    stop: threading.Event = field(default_factory=threading.Event)
    failures: list[BaseException] = field(default_factory=list)
    trainers: list[Trainer] = field(default_factory=list)

    def trainer(self) -> Trainer:
        around = Surroundings(self.bus, self.store, self.signer, CollectorRegistry(), self.stop)
        made = build(TrainerSettings(run_dir=self.run_dir), self.experiment, around, lambda: None)
        self.trainers.append(made)
        return made

    def assert_healthy(self) -> None:
        assert self.failures == []


@contextmanager
def a_loop(bus: Bus, directory: Path, **changes: object) -> Iterator[Loop]:
    """The three services and the policies run in threads; the trainer is the test's to run."""
    keys = generate_keypair(directory / "keys")
    store = ObjectStore(str(directory / "store"))
    loop = Loop(bus, an_experiment(**changes), directory / "run", store, Signer(keys[0]))
    world = registry.load(loop.experiment.world)
    submit_seeds(bus, world)
    source = Source(bus, store, Verifier([keys[1]]))
    with InProcessPolicies(loop.experiment.policies.slots.names, source, TransformersLoader()) as policies:
        judging = JudgeSettings(world=world.name)
        services = [
            attacker.build(AttackerSettings(world=world.name), policies, world, attacker.installed_strategies(), store),
            defender_inference.build(DefenderInferenceSettings(guard=guard_of(loop.experiment)), policies, store),
            judge.build(judging, judge.panels_of(judging), CollectorRegistry()),
        ]
        workers = [Worker(s, bus, WorkerSettings(drain_timeout_s=2.0), registry=CollectorRegistry()) for s in services]
        threads = [threading.Thread(target=partial(_run, worker, loop), daemon=True) for worker in workers]
        for thread in threads:
            thread.start()
        try:
            yield loop
        finally:
            loop.stop.set()
            for thread in threads:
                thread.join(30)
            for trainer in loop.trainers:
                trainer.close()


def _run(worker: Worker, loop: Loop) -> None:
    try:
        worker.run(loop.stop)
    except BaseException as error:
        loop.failures.append(error)
