"""A whole game under faults: the real trainer with its checkpoints, three services, a replica, each a process that dies.

Learners and policies are fakes that compute nothing; what they are asked, and who hears of it, is the product's own.
What has to be true of every schedule:

    once faults stop, the game comes to its end
    every training bout has ended in one way, none of them expired or dead, and the sums of the round agree
    tasks, weights, numbers of updates, sums and replay pool are those of a game that nothing happened to
    versions of a slot only rise
"""

import random
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache, partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from harden import codec
from harden.bus.ports import Incoming
from harden.config import WorkerSettings
from harden.domain.attack import AttackedBout
from harden.domain.bout import Bout
from harden.domain.errors import FencedError, TransientError
from harden.domain.events import Event
from harden.domain.policy import PolicyPublished, PolicyRef
from harden.domain.response import SampledBout
from harden.domain.verdict import JudgedBout
from harden.runtime.service import Service
from harden.runtime.worker import Worker
from harden.store.object_store import ObjectStore
from harden.topics import ATTACKS, BOUTS, POLICIES, RESPONSES, SERVED, VERDICTS, Topic
from harden.trainer.game.trainer import Trainer
from harden.trainer.inbox import Stopped
from tests.simulation import faults
from tests.simulation.bus import SimulatedBus
from tests.simulation.faults import Fault, Kind, Played
from tests.simulation.processes import Machine, Place
from tests.simulation.scheduler import Process, StuckError
from tests.support.answering import AnsweringBus, a_lease, played
from tests.support.facts import an_event
from tests.support.game import Around, a_trainer_in
from tests.support.wire import sent

FAULTS_END_S = 20.0
# Longer than any fault: what an outage does to the game is not to be decided by a clock.
BOUT_TIMEOUT_S, SERVE_TIMEOUT_S = 200.0, 300.0
QUIET_S = 2000.0
LEASE_S, LOAD_S = 12.0, 0.3
SETTINGS = WorkerSettings(max_poison_in_a_row=1000, drain_timeout_s=5.0)
KINDS = tuple(kind for kind in Kind if kind not in (Kind.FOREIGN, Kind.EXPIRE))
STAGES = {"attacker": (BOUTS, ATTACKS), "defender_inference": (ATTACKS, RESPONSES), "judge": (RESPONSES, VERDICTS)}
TRAINER = len(STAGES) + 1  # after the replica
GAME = {"schedule": {"bout_timeout_s": BOUT_TIMEOUT_S, "serve_timeout_s": SERVE_TIMEOUT_S}}


def draw(seed: int) -> list[Fault]:
    rng = random.Random(f"faults {seed}")
    drawn = faults.draw(rng, KINDS, FAULTS_END_S)
    if rng.random() < 0.5:  # the trainer keeps more than the others, so half of the schedules are hard on it
        for _ in range(6):
            kind, seconds = rng.choice((Kind.KILL, Kind.HEIR, Kind.HEIR)), rng.choice((0.5, 2.0, 5.0))
            drawn.append(Fault(round(rng.uniform(0, FAULTS_END_S), 3), kind, TRAINER, seconds))
    return sorted(drawn, key=lambda fault: (fault.at, fault.kind))


def play(seed: int, what_goes_wrong: Sequence[Fault]) -> Played:
    # Checkpoints are files; a file system in memory, where there is one, is quick.
    shm = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(prefix="harden-simulation-", dir=shm if shm.is_dir() else None))
    try:
        game = _Game(seed, what_goes_wrong, directory)
        return Played(game.play(), game.digest())
    finally:
        shutil.rmtree(directory)


class _Game:
    def __init__(self, seed: int, what_goes_wrong: Sequence[Fault], directory: Path) -> None:
        random.seed(seed)  # for the waits between retries
        self._directory = directory
        self._machine = machine = Machine(seed)
        self._bus = SimulatedBus(machine.broker, network=machine.network)
        self._bus.create_topics()
        self._store = ObjectStore("memory://")
        self._answers: dict[tuple[str, PolicyRef, PolicyRef], JudgedBout] = {}
        self._ended: Trainer | None = None
        for name, (reads, writes) in STAGES.items():
            service = Service(name, reads, (writes,), partial(self._handle, name), 4, name)
            machine.run(name, partial(self._work, service), may_end_with=(TransientError,))
        machine.run("triton", self._serve, may_end_with=(TransientError,))
        self._trainer = machine.run("trainer", self._train, may_end_with=(TransientError, FencedError, Stopped))
        machine.schedule(what_goes_wrong, self._inflict)

    def play(self) -> list[str]:
        machine, scheduler = self._machine, self._machine.scheduler
        try:
            scheduler.run_until(lambda: scheduler.now > FAULTS_END_S, FAULTS_END_S + 1)
            machine.calm()
            if scheduler.run_until(lambda: self._ended is not None, scheduler.now + QUIET_S):
                self._check_game(self._ended)
            else:
                machine.broken.append(f"the game has not ended {QUIET_S:.0f} s after the last fault")
            self._check_policies()
        except StuckError as error:
            machine.broken.append(str(error))
        finally:
            scheduler.close()
        return machine.broken

    def digest(self) -> str:
        """Of the bouts and verdicts, and when they came. Not of publications, which every game signs with a new key."""
        partitions = self._bus.partitions_of([BOUTS.name, VERDICTS.name])
        return sha256(repr([self._bus.readable(partition) for partition in partitions]).encode()).hexdigest()

    def _train(self, process: Process, place: Place) -> None:
        around = Around(self._bus, self._store, place, process.time, process.time)
        trainer = a_trainer_in(self._directory, around, **GAME)
        trainer.run()
        place.finish()
        self._ended = trainer

    def _work(self, service: Service, process: Process, place: Place) -> None:
        Worker(service, self._bus, SETTINGS, threads=process).run(place)

    def _handle(self, stage: str, fact: Bout | AttackedBout | SampledBout) -> AttackedBout | SampledBout | JudgedBout:
        self._machine.use_a_dependency(self._machine.scheduler.rng.choice((0.001, 0.01, 0.1)))
        match fact:
            case Bout():
                return self._played(fact).sampled.attacked
            case AttackedBout():
                return self._played(fact.bout).sampled
            case SampledBout():
                return self._played(fact.attacked.bout)

    def _played(self, bout: Bout) -> JudgedBout:
        key = bout.bout_id, bout.attacker, bout.defender
        if key not in self._answers:
            self._answers[key] = played(bout)
        return self._answers[key]

    def _serve(self, process: Process, place: Place) -> None:
        """A replica of every slot: loads the newest policy, says so, and says it again while it holds."""
        reader = self._bus.log_reader([POLICIES.name], client_id="triton")
        producer = self._bus.producer(client_id="triton")
        newest: dict[str, PolicyRef] = {}
        said: dict[str, tuple[PolicyRef, float]] = {}
        while not place.is_set():
            for message in reader.poll(1.0, 100):
                fact = read(POLICIES, message).fact
                if isinstance(fact, PolicyPublished):
                    newest[fact.policy.slot] = fact.policy
            for slot, policy in newest.items():
                before, at = said.get(slot, (None, 0.0))
                if before == policy and process.time() - at < LEASE_S / 3:
                    continue
                if before != policy:
                    process.sleep(LOAD_S)
                lease = a_lease(policy, served_at=process.time(), until=process.time() + LEASE_S)
                producer.send([sent(an_event(lease, f"{lease}"))])
                said[slot] = policy, process.time()

    def _inflict(self, fault: Fault) -> None:
        if self._machine.inflict(fault):
            return
        topics = [topic.name for topic in (BOUTS, ATTACKS, RESPONSES, VERDICTS)]
        partitions = [p for p in self._bus.partitions_of(topics) if self._bus.readable(p)]
        match fault.kind:
            case Kind.AGAIN if partitions:
                partition = partitions[fault.which % len(partitions)]
                written = self._bus.readable(partition)
                self._bus.place_again(written[fault.which % len(written)], partition)
            case Kind.COMPACT:
                for partition in self._bus.partitions_of([POLICIES.name, SERVED.name]):
                    self._bus.compact(partition)

    def _check_game(self, trainer: Trainer) -> None:
        game, broken = trainer.context.game, self._machine.broken
        if game.ledger.num_open():
            broken.append(f"{game.ledger.num_open()} bouts have no end")
        account = game.ledger.account(1)
        ends = account.trained + account.dead_lettered + account.expired + sum(account.dropped.values())
        if ends != account.scheduled:
            broken.append(f"the ends of a round do not add up: {account.to_json()}")
        if account.expired or account.dead_lettered:
            broken.append(f"an outage was played away: {account.to_json()}")
        came = what_came_of(trainer)
        if came != (unhurt := _unhurt()):
            different = [key for key in unhurt if came[key] != unhurt[key]]
            broken.append(
                "the game ended as no unhurt one does: " + "; ".join(f"{k}: {came[k]} not {unhurt[k]}" for k in different)
            )

    def _check_policies(self) -> None:
        versions: dict[str, list[tuple[int, str]]] = {}
        for partition in self._bus.partitions_of([POLICIES.name]):
            for message in self._bus.readable(partition):
                fact = read(POLICIES, message).fact
                if isinstance(fact, PolicyPublished):
                    versions.setdefault(fact.policy.slot, []).append((fact.policy.version, fact.policy.digest))
        for slot, published in versions.items():
            for (before, _), (after, _) in pairwise(published):
                if after <= before:
                    self._machine.broken.append(f"{slot}: version {after} was published after {before}")


def what_came_of(trainer: Trainer) -> dict[str, object]:
    """What a game leaves that must not depend on what went wrong."""
    game = trainer.context.game
    return {
        "tasks": [done.key for done in game.history],
        "weights": {name: player.learner.weights()["policy"].tolist() for name, player in game.players.items()},
        "updates": {name: player.updates for name, player in game.players.items()},
        "account": game.ledger.account(1).to_json(),
        "pool": game.pool.families(),
    }


@cache
def _unhurt() -> dict[str, object]:
    with tempfile.TemporaryDirectory() as directory:
        bus = AnsweringBus()
        trainer = a_trainer_in(Path(directory), Around(bus, bus.store), **GAME)
        trainer.run()
        return what_came_of(trainer)


def read(topic: Topic, message: Incoming) -> Event:
    return codec.from_message(topic, message)
