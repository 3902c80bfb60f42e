"""Programs on the simulated machine, each in one process after another, and the faults that hit any of them."""

from collections.abc import Callable, Sequence

from harden.domain.errors import TransientError
from tests.simulation.bus import Fate, Network
from tests.simulation.faults import Fault, Kind
from tests.simulation.scheduler import Process, Scheduler

# After the end of a process, as a supervisor or a kubelet would.
RESTART_S = 1.0


class Place:
    """Where a program runs: one process of it at a time. `program` gets the process, and this place as its stop event.

    `on_crash` gets the error that a process ended with. It starts again, until `finish` is called.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        name: str,
        program: Callable[[Process, "Place"], None],
        on_crash: Callable[[str, BaseException], None],
    ) -> None:
        self._scheduler = scheduler
        self._name = name
        self._program = program
        self._on_crash = on_crash
        self._is_stopping = self._is_finished = False
        self._restart_s = RESTART_S
        self._boot()

    def is_set(self) -> bool:
        return self._is_stopping

    def wait(self, timeout: float | None = None) -> bool:
        """As of an event that is rarely set: waits to the end. Only from within the process."""
        self._scheduler.running.sleep(timeout or 0.0)
        return self._is_stopping

    def kill(self, away_s: float) -> None:
        if not self._process.is_killed:
            self._process.kill()
            self._boot_after(away_s)

    def stop_for(self, seconds: float) -> None:
        self._process.stop_for(seconds)

    def replace(self, seconds: float) -> None:
        """As where a machine is thought to be gone: the one before goes on later, beside its heir."""
        if not self._process.is_killed:
            self._process.stop_for(seconds)
            self._boot()

    def drain(self, away_s: float) -> None:
        self._is_stopping, self._restart_s = True, away_s

    def finish(self) -> None:
        """The program has done what it was there for."""
        self._is_finished = True

    def _boot(self) -> None:
        self._is_stopping, self._restart_s = False, RESTART_S
        self._process = process = self._scheduler.process(self._name, lambda error: self._crashed(process, error))

        def main() -> None:
            self._program(process, self)
            self._end(process)

        process.start(main, "main")

    def _crashed(self, process: Process, error: BaseException) -> None:
        self._on_crash(self._name, error)
        self._end(process)

    def _end(self, process: Process) -> None:
        if process is self._process and not self._is_finished:
            self._boot_after(self._restart_s)
        process.kill()

    def _boot_after(self, seconds: float) -> None:
        self._scheduler.at(self._scheduler.now + seconds, self._boot)


class Machine:
    """The scheduler with a network and places on it. `broken` collects what was not true."""

    def __init__(self, seed: int) -> None:
        self.scheduler = scheduler = Scheduler(seed)
        self.broken: list[str] = []
        self.network = Network(
            pause=scheduler.pause,
            later=lambda seconds, act: scheduler.at(scheduler.now + seconds, act, scheduler.running),
            broker_later=lambda seconds, act: scheduler.at(scheduler.now + seconds, act),
        )
        self.broker = scheduler.process("broker", lambda error: self.crashed("broker", error))
        self.places: list[Place] = []
        self._num_failing = 0

    def run(
        self, name: str, program: Callable[[Process, Place], None], may_end_with: tuple[type[BaseException], ...] = ()
    ) -> Place:
        def crashed(name: str, error: BaseException) -> None:
            if not isinstance(error, may_end_with):
                self.crashed(name, error)

        self.places.append(Place(self.scheduler, name, program, crashed))
        return self.places[-1]

    def crashed(self, name: str, error: BaseException) -> None:
        self.broken.append(f"{name} ended with {type(error).__name__}: {error}")

    def use_a_dependency(self, seconds: float) -> None:
        """What a service asks of a policy or a judge: takes its time, and may fail for a moment."""
        self.scheduler.running.sleep(seconds)
        if self._num_failing:
            self._num_failing -= 1
            raise TransientError("the policy does not answer")

    def inflict(self, fault: Fault) -> bool:
        """False where it hits neither a process nor the network."""
        place, network = self.places[fault.which % len(self.places)], self.network
        match fault.kind:
            case Kind.KILL:
                place.kill(fault.seconds)
            case Kind.STOP:
                place.stop_for(fault.seconds)
            case Kind.HEIR:
                place.replace(fault.seconds)
            case Kind.DRAIN:
                place.drain(fault.seconds)
            case Kind.LOSE_ACK:
                network.sends.append(Fate.ANSWER_LOST)
            case Kind.LOSE_SEND:
                network.sends.append(Fate.LOST)
            case Kind.LATE_ACK:
                network.ack_delays_s.append(fault.seconds)
            case Kind.REFUSE_COMMIT:
                network.commits.append(Fate.LOST)
            case Kind.LOSE_COMMIT:
                network.commits.append(Fate.ANSWER_LOST)
            case Kind.TRANSIENT:
                self._num_failing += 1
            case _:
                return False
        return True

    def calm(self) -> None:
        """What was to go wrong and has not yet, does not."""
        self.network.sends.clear()
        self.network.commits.clear()
        self.network.ack_delays_s.clear()
        self._num_failing = 0

    def schedule(self, faults: Sequence[Fault], inflict: Callable[[Fault], object]) -> None:
        for fault in faults:
            self.scheduler.at(fault.at, lambda fault=fault: inflict(fault))
