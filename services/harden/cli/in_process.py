"""The same ring in one process: every service's `build` on the in-memory bus, the engine in this process. No Java, no Triton.

For runs that can be repeated bit for bit, for debugging, and as what benchmarks compare the ring of processes with. The
services run in lockstep, and the log is a file; a checkpoint names its length.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, redirect_stderr, suppress

import structlog
from prometheus_client import CollectorRegistry

from harden.attacker import main as attacker
from harden.attacker.config import AttackerSettings
from harden.bus.ports import Bus
from harden.cli.reporting.schema import Components
from harden.cli.seeds import submit_seeds
from harden.config import LogSettings
from harden.defender_inference import main as defender_inference
from harden.defender_inference.config import DefenderInferenceSettings, GuardSettings
from harden.domain.errors import SetupError
from harden.domain.game import World
from harden.judge import main as judge
from harden.judge.config import JudgeSettings
from harden.local.interrupts import Interrupts
from harden.local.kept_log import open_kept_bus
from harden.local.lockstep_bus import LockstepBus, Settling
from harden.local.play import Plan, library_versions
from harden.local.rundir import STORE_IN_PROCESS, LocalRun
from harden.local.services import guard_of
from harden.local.supervisor import RingBroken
from harden.runtime import logs
from harden.runtime.lockstep import Lockstep
from harden.runtime.service import Service
from harden.serving.follower import Source
from harden.serving.in_process import InProcessPolicies
from harden.serving.lockstep import LockstepPolicies
from harden.serving.ports import PolicyClient
from harden.serving.transformers_loader import TransformersLoader
from harden.store.object_store import ObjectStore
from harden.store.ports import BlobStore
from harden.store.signing import Signer, Verifier, generate_keypair
from harden.trainer.config import TrainerSettings
from harden.trainer.game.checkpoint import Checkpoints
from harden.trainer.inbox import Stopped
from harden.trainer.main import Surroundings, play
from harden.worlds import registry

# Bouts that ask a policy together, so that its batches are as full as MAX_ROWS lets them be.
TOGETHER = 256
# A step in progress at a stop is short; longer means that a thread hangs.
STOP_TIMEOUT_S = 30.0


class InProcessRing:
    """The trainer and the services in threads of this process. The first error of any of them ends the ring."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        # The trainer sets it at the end of the game.
        self.trainer_stop = threading.Event()
        self._trainer_done = threading.Event()
        self._failure: BaseException | None = None
        self._trainer: threading.Thread | None = None

    def start(self, play: Callable[[], None]) -> None:
        """`play` is the trainer's whole game; it ends early when `trainer_stop` is set."""
        self._trainer = threading.Thread(target=self._play, args=(play,), name="trainer", daemon=True)
        self._trainer.start()

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

    def fail(self, error: BaseException) -> None:
        self._failure = self._failure or error

    def stop(self, services: Lockstep) -> None:
        """Waits for the trainer, which may be in a step."""
        self.trainer_stop.set()
        services.stop()
        if self._trainer is not None:
            self._trainer.join(STOP_TIMEOUT_S)

    def _play(self, play: Callable[[], None]) -> None:
        try:
            play()
            self._trainer_done.set()
        except BaseException as error:
            self.fail(error)


@contextmanager
def start(plan: Plan, say: Callable[[str], None], interrupts: Interrupts) -> Iterator[InProcessRing]:
    """A StartRing. Logs of all services go to one file in the run's directory.

    The same experiment gives the same figures every time: see harden.runtime.lockstep and docs/adr/one-process-in-lockstep.md.
    """
    if any(count > 1 for count in plan.replicas.values()):
        raise SetupError("--in-process runs one of each service; leave --replicas out, or leave --in-process out")
    run, world, guard = plan.run, registry.load(plan.experiment.world), guard_of(plan.experiment)
    with ExitStack() as stack:
        stack.enter_context(_logging_to(run))
        bus, log = stack.enter_context(open_kept_bus(run.kept_log, _bytes_to_keep(plan)))
        if not plan.resume:
            submit_seeds(bus, world)
            generate_keypair(run.signing_key.parent)
        store, slots = ObjectStore(str(run.store), called=STORE_IN_PROCESS), plan.experiment.policies.slots.names
        ring = InProcessRing(bus)
        # Constructed first, so that it hears what the slots say of the policies they find on the log.
        settling = Settling(bus, slots, plan.experiment.schedule.serve_timeout_s)
        source = Source(bus, store, Verifier([run.verify_key]))
        served = stack.enter_context(InProcessPolicies(slots, source, TransformersLoader()))
        policies = stack.enter_context(closing(LockstepPolicies(served)))
        services = Lockstep(_services(policies, world, guard, store), bus, policies.run, on_failure=ring.fail)
        stack.callback(services.close, STOP_TIMEOUT_S)

        def check() -> None:
            if ring.trainer_stop.is_set():
                raise Stopped
            served.raise_failure()

        trainers_bus = LockstepBus(bus, services, settling, check)

        def mark() -> int:
            trainers_bus.rest()
            return log.num_bytes

        def play_game() -> None:
            with suppress(Stopped):
                settling.wait_for_newest(check)
                play(TrainerSettings(experiment=run.experiment, run_dir=run.root), plan.experiment, around, lambda: None)

        around = Surroundings(
            trainers_bus, store, Signer(run.signing_key), CollectorRegistry(), ring.trainer_stop, log_bytes=mark
        )
        try:
            ring.start(play_game)
            yield ring
        finally:
            with interrupts.shield():
                ring.stop(services)


def _bytes_to_keep(plan: Plan) -> int:
    """Of the log: as many as there were at the checkpoint that the run resumes from. What came later is played again."""
    newest = Checkpoints(plan.run.root).newest() if plan.resume else None
    if newest is None:
        return 0
    num_bytes = newest[0].get("log_bytes")
    if num_bytes is None:
        raise SetupError(f"the checkpoint in {plan.run.root} does not say how long the log was; begin a new run")
    return int(num_bytes)


@contextmanager
def _logging_to(run: LocalRun) -> Iterator[None]:
    """The services log to a file, so that progress stays readable."""
    run.logs.mkdir(parents=True, exist_ok=True)
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    with (run.logs / "in-process.log").open("a") as file:
        with redirect_stderr(file):
            logs.start(LogSettings(format="json"), "in-process")
        try:
            yield
        finally:
            # The file is about to be closed, and threads of a client may still log.
            root.handlers[:] = before
            root.setLevel(level)
            structlog.reset_defaults()


def _services(policies: PolicyClient, world: World, guard: GuardSettings | None, store: BlobStore) -> list[Service]:
    judging = JudgeSettings(world=world.name)
    return [
        attacker.build(
            AttackerSettings(world=world.name, max_in_flight=TOGETHER), policies, world, attacker.installed_strategies(), store
        ),
        defender_inference.build(DefenderInferenceSettings(max_in_flight=TOGETHER, guard=guard), policies, store),
        judge.build(judging, judge.panels_of(judging), CollectorRegistry()),
    ]
