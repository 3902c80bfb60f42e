"""The process around a service: settings, logs, signals, the admin port, the bus, and how all of it ends.

0   stopped when asked to, with what was in flight finished
1   a bug, or retries exhausted; nothing unfinished was committed
2   something a person must put right first, in one line on stderr
3   another process took this one's place
"""

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TypeVar

import structlog
from prometheus_client import CollectorRegistry

from harden import metrics
from harden.bus.kafka import KafkaBus
from harden.bus.ports import Bus
from harden.config import ServiceConfig, describe
from harden.domain.errors import FencedError, SetupError
from harden.runtime import logs, tracing
from harden.runtime.admin import AdminPort
from harden.runtime.service import Service
from harden.runtime.worker import Worker

EXIT_SETUP = 2
EXIT_FENCED = 3

_log = structlog.get_logger()
C = TypeVar("C", bound=ServiceConfig)


class Process:
    """What `process` yields. `stop` is set by SIGTERM, SIGINT or a failed background task; long loops watch it."""

    bus: Bus

    def __init__(self, config: ServiceConfig, name: str) -> None:
        self.config = config
        self.name = name
        self.registry = CollectorRegistry()
        self.stop = threading.Event()
        self.admin_port = 0
        self.failure: BaseException | None = None
        self._conditions: dict[str, Callable[[], bool]] = {}
        metrics.PROCESS_INFO.gauge(self.registry).labels(name).set(1)

    def run(self, service: Service) -> None:
        """Runs the service here until the process is told to stop."""
        worker = Worker(service, self.bus, self.config.worker, registry=self.registry)
        self.ready_when("waiting for partitions", lambda: worker.is_assigned)
        worker.run(self.stop)

    def ready_when(self, waiting_for: str, condition: Callable[[], bool]) -> None:
        """The process counts as ready only while `condition` holds; /readyz answers with `waiting_for` until then."""
        self._conditions[waiting_for] = condition

    def background(self, task: Callable[[], None], *, name: str) -> threading.Thread:
        """Runs `task` in a thread. Should it fail, so does the process."""

        def run() -> None:
            try:
                task()
            except BaseException as error:
                self.fail(error)

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread

    def fail(self, error: BaseException) -> None:
        """Ends the process with `error`, from any thread; the first one counts."""
        self.failure = self.failure or error
        self.stop.set()

    def not_ready(self) -> str | None:
        """What /readyz answers 503 with; None while the process is ready."""
        if self.stop.is_set():
            return "draining"
        if not self._conditions:
            return "starting"
        return next((name for name, condition in self._conditions.items() if not condition()), None)


@contextmanager
def process(config: ServiceConfig, name: str, *, bus: Bus | None = None) -> Iterator[Process]:
    """Everything around the service called `name`. Ends the interpreter with the codes above where the work ends badly.

    `bus` is what to use instead of the broker in the settings. Its topics are checked before anything is read.
    """
    logs.start(config.log, name)
    tracing.start(name)
    proc = Process(config, name)
    try:
        with ExitStack() as stack:
            stack.enter_context(_signals(proc.stop))
            admin = AdminPort(config.admin, proc.registry, proc.not_ready)
            stack.callback(admin.close)
            proc.admin_port = admin.port
            proc.bus = bus or KafkaBus(config.kafka)
            stack.callback(proc.bus.close)
            proc.bus.check_topics()
            _log.info("process_started", admin_port=admin.port)
            yield proc
            if proc.failure is not None:
                raise proc.failure
    except SetupError as error:
        sys.exit(complain(name, error, EXIT_SETUP))
    except FencedError as error:
        sys.exit(complain(name, error, EXIT_FENCED))
    _log.info("process_stopped")


def run_main(config_class: type[C], serve: Callable[[C], None], argv: Sequence[str] | None = None) -> None:
    """What a service's `main` is: reads the settings, before any socket opens, and serves."""
    module = sys.modules[serve.__module__]
    # Of a module that runs as a program, only the spec still knows the name.
    name = (module.__spec__.name if module.__spec__ else module.__name__).removesuffix(".main").rpartition(".")[2]
    parser = argparse.ArgumentParser(
        prog=name, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check-config", action="store_true", help="read the settings, say whether they can be used, and end")
    parser.add_argument("--settings", action="store_true", help="list every setting with its default and meaning, and end")
    arguments = parser.parse_args(argv)
    if arguments.settings:
        print("\n".join(describe(config_class)))
        return
    try:
        config = config_class()
        if arguments.check_config:
            print(f"{name}: the settings can be used")
            return
        serve(config)
    except SetupError as error:
        sys.exit(complain(name, error, EXIT_SETUP))


def complain(name: str, error: Exception, exit_code: int) -> int:
    """One line on stderr, and the exit code that goes with it."""
    print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
    return exit_code


@contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """SIGTERM and the first SIGINT ask for a drain; a second SIGINT ends at once. Only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(signum: int, _frame: FrameType | None) -> None:
        stop.set()
        if signum == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)

    before = {signum: signal.signal(signum, ask) for signum in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
