"""Starts and stops the ring on this machine as processes: Kafka, Triton and the services."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harden.bus.kafka import KafkaBus
from harden.bus.ports import Bus
from harden.cli.reporting.schema import Components
from harden.cli.seeds import submit_seeds
from harden.config import KafkaSettings
from harden.local import kafka, services, triton
from harden.local.interrupts import Interrupts
from harden.local.kafka import LocalKafka
from harden.local.play import Plan, library_versions
from harden.local.ports import free_ports
from harden.local.rundir import Live
from harden.local.services import TRAINER, Addresses
from harden.local.supervisor import RingBroken, Supervisor, wait_ready
from harden.local.triton import LocalTriton
from harden.store.signing import generate_keypair
from harden.worlds import registry

# Importing torch four times on two busy cores; a service that is not there by then hangs.
READY_TIMEOUT_S = 120.0
# Services drain for two seconds and then close; see services.commands.
STOP_GRACE_S = 6.0


class LocalRing:
    """Starts the parts in the order of their dependencies, and stops them in reverse.

    Raises SetupError where the experiment asks for a guard that its world does not have.
    """

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._say = say
        self._guard = services.guard_of(plan.experiment)
        self._kafka = LocalKafka(plan.run.kafka)
        self._bus: KafkaBus | None = None
        self._triton: LocalTriton | None = None
        self._triton_version = ""
        self._supervisor = Supervisor(say, may_finish=frozenset({TRAINER}))
        self._names = services.names(plan.replicas)

    def start(self) -> None:
        """Returns when every process is ready. Raises SetupError or RingBroken; `stop` is right afterwards in any case."""
        run = self._plan.run
        self._say("starting Kafka")
        self._kafka.start()
        self._bus = KafkaBus(KafkaSettings(bootstrap_servers=self._kafka.bootstrap_servers))
        self._bus.create_topics()
        submit_seeds(self._bus, registry.load(self._plan.experiment.world))
        if not run.signing_key.exists():
            generate_keypair(run.signing_key.parent)
        self._say(f"Kafka {self._kafka.version} answers; starting Triton and {len(self._names)} services")
        # All at once: until they are ready they mostly import libraries.
        slots = self._plan.experiment.policies.slots.names
        self._triton = LocalTriton(run.triton, slots, self._triton_settings(), log=run.logs / "triton.log")
        self._triton.begin()
        ports = dict(zip(self._names, free_ports(len(self._names)), strict=True))
        addresses = Addresses(self._kafka.bootstrap_servers, self._triton.grpc_url)
        # Before anything can play: a command that looks at a playing run finds where it answers.
        run.announce(Live(os.getpid(), addresses.bootstrap_servers, self._triton.grpc_url, self._triton.http_url, ports))
        self._supervisor.start(services.commands(run, self._plan.experiment.world, self._guard, ports, addresses))
        self._triton.await_ready()
        wait_ready(ports, self._supervisor, READY_TIMEOUT_S)
        self._triton_version = self._triton.version
        self._say(f"Triton {self._triton_version} and {', '.join(self._names)} are ready")

    def is_playing(self) -> bool:
        if self._supervisor.status(TRAINER) == 0:
            return False
        assert self._triton is not None
        if self._kafka.has_ended:
            raise RingBroken(f"Kafka ended in the middle of the run; look into {self._plan.run.kafka}")
        if not self._triton.is_running:
            raise RingBroken(f"Triton ended in the middle of the run; look into {self._plan.run.logs / 'triton.log'}")
        self._supervisor.check()
        return True

    def components(self) -> Components:
        versions = library_versions()
        processes = ("kafka", "triton", *self._names)
        return Components(kafka=self._kafka.version, triton=self._triton_version, processes=processes, **versions)

    @property
    def bus(self) -> Bus:
        assert self._bus is not None
        return self._bus

    def stop(self) -> None:
        """Stops the parts that run. Services first: they end cleanly only while the broker answers."""
        self._plan.run.withdraw()
        self._supervisor.stop(STOP_GRACE_S)
        if self._bus is not None:
            self._bus.close()
        if self._triton is not None:
            self._triton.stop()
        self._kafka.stop()

    def _triton_settings(self) -> dict[str, str]:
        run = self._plan.run
        return {
            "HARDEN_KAFKA__BOOTSTRAP_SERVERS": self._kafka.bootstrap_servers,
            "HARDEN_STORE__URI": str(run.store),
            "HARDEN_KEYS__VERIFY_KEY_FILES": json.dumps([str(run.verify_key)]),
        }


def check_machine() -> None:
    """SetupError naming what the ring needs and this machine lacks. Fetches Kafka's jars where they are not here yet."""
    kafka.find_java()
    kafka.fetch()
    triton.find_server()


@contextmanager
def start(plan: Plan, say: Callable[[str], None], interrupts: Interrupts) -> Iterator[LocalRing]:
    """A StartRing."""
    ring = LocalRing(plan, say)
    try:
        ring.start()
        yield ring
    finally:
        with interrupts.shield():
            ring.stop()
