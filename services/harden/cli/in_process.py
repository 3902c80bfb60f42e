"""The same ring in one process: every service's `build` on the in-memory bus, the engine in this process. No Java, no Triton.

For tests, for debugging, and as the baseline of what the ring of processes costs.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from functools import partial

import structlog
from prometheus_client import CollectorRegistry

from harden import codec
from harden.attacker import main as attacker
from harden.attacker.config import AttackerSettings
from harden.bus.memory import MemoryBus
from harden.bus.ports import Bus, Incoming
from harden.cli.reporting.schema import Components
from harden.cli.seeds import submit_seeds
from harden.config import LogSettings, WorkerSettings
from harden.defender_inference import main as defender_inference
from harden.defender_inference.config import DefenderInferenceSettings
from harden.domain.errors import SetupError
from harden.domain.game import World
from harden.judge import main as judge
from harden.judge.config import JudgeSettings
from harden.local.interrupts import Interrupts
from harden.local.play import Plan, library_versions
from harden.local.rundir import LocalRun
from harden.local.supervisor import RingBroken
from harden.runtime import logs
from harden.runtime.service import Service
from harden.runtime.worker import Worker
from harden.serving.follower import Source
from harden.serving.in_process import InProcessPolicies
from harden.serving.ports import PolicyClient
from harden.serving.transformers_loader import TransformersLoader
from harden.store.object_store import ObjectStore
from harden.store.ports import BlobStore
from harden.store.signing import Signer, Verifier, generate_keypair
from harden.topics import POLICIES, ROUNDS, SEEDS, SERVED, STEPS, VERDICTS
from harden.trainer.config import TrainerSettings
from harden.trainer.main import Surroundings, play
from harden.worlds import registry

KEPT = (SEEDS, VERDICTS, STEPS, ROUNDS, POLICIES, SERVED)
# A step in progress at a stop is short; longer means that a thread hangs.
STOP_TIMEOUT_S = 30.0


class InProcessRing:
    """Threads of this process. The first error of any of them ends the ring."""

    def __init__(self, plan: Plan, bus: Bus) -> None:
        self._plan = plan
        self._bus = bus
        self._stop = threading.Event()
        # Separate from the workers' stop event: the trainer sets its own at the end of the game.
        self.trainer_stop = threading.Event()
        self._trainer_done = threading.Event()
        self._failure: BaseException | None = None
        self._threads: list[threading.Thread] = []

    def start(self, services: Sequence[Service], play: Callable[[], None]) -> None:
        """`play` is the trainer's whole game; it ends early when `trainer_stop` is set."""
        for service in services:
            worker = Worker(service, self._bus, WorkerSettings(drain_timeout_s=2.0))
            self._spawn(service.name, partial(worker.run, self._stop))
        self._spawn("trainer", partial(self._play, play))

    def is_playing(self) -> bool:
        if isinstance(self._failure, SetupError):
            raise self._failure
        if self._failure is not None:
            raise RingBroken(f"a service failed: {type(self._failure).__name__}: {self._failure}") from self._failure
        return not self._trainer_done.is_set()

    def components(self) -> Components:
        return Components(processes=("one process",), **library_versions())

    @property
    def bus(self) -> Bus:
        return self._bus

    def stop(self) -> None:
        """Stops the trainer first, so that bouts it waits for still arrive."""
        self.trainer_stop.set()
        self._stop.set()
        for thread in self._threads:
            thread.join(STOP_TIMEOUT_S)

    def _play(self, play: Callable[[], None]) -> None:
        play()
        self._trainer_done.set()

    def _spawn(self, name: str, task: Callable[[], object]) -> None:
        def run() -> None:
            try:
                task()
            except BaseException as error:
                self._failure = self._failure or error

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()


@contextmanager
def start(plan: Plan, say: Callable[[str], None], interrupts: Interrupts) -> Iterator[InProcessRing]:
    """A StartRing. Logs of all services go to one file in the run's directory."""
    if any(count > 1 for count in plan.replicas.values()):
        raise SetupError("--in-process runs one of each service; leave --replicas out, or leave --in-process out")
    run, bus, world = plan.run, MemoryBus(), registry.load(plan.experiment.world)
    bus.create_topics()
    submit_seeds(bus, world)
    generate_keypair(run.signing_key.parent)
    store = ObjectStore(str(run.store))
    slots = plan.experiment.policies.slots.names
    with (
        _logging_to(run),
        InProcessPolicies(slots, Source(bus, store, Verifier([run.verify_key])), TransformersLoader()) as policies,
    ):
        ring = InProcessRing(plan, bus)
        around = Surroundings(bus, store, Signer(run.signing_key), CollectorRegistry(), ring.trainer_stop)
        settings = TrainerSettings(experiment=run.experiment, run_dir=run.root)
        try:
            ring.start(_services(policies, world, store), lambda: play(settings, plan.experiment, around, lambda: None))
            yield ring
        finally:
            with interrupts.shield():
                ring.stop()
                run.kept_log.write_bytes(codec.pack(_worth_keeping(bus)))


def _worth_keeping(bus: MemoryBus) -> Iterator[Incoming]:
    """Without the bouts in between: verdicts contain them."""
    for partition in bus.partitions_of([topic.name for topic in KEPT]):
        yield from bus.logs[partition]


@contextmanager
def _logging_to(run: LocalRun) -> Iterator[None]:
    """The services log to a file, so that progress stays readable."""
    run.logs.mkdir(parents=True, exist_ok=True)
    with (run.logs / "in-process.log").open("w") as file:
        with redirect_stderr(file):
            logs.start(LogSettings(format="json"), "in-process")
        try:
            yield
        finally:
            structlog.reset_defaults()


def _services(policies: PolicyClient, world: World, store: BlobStore) -> list[Service]:
    judging = JudgeSettings(world=world.name)
    return [
        attacker.build(AttackerSettings(world=world.name), policies, world, attacker.installed_strategies(), store),
        defender_inference.build(DefenderInferenceSettings(), policies, store),
        judge.build(judging, judge.panels_of(judging), CollectorRegistry()),
    ]
