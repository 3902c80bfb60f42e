"""Where reading commands find the log: the broker of --kafka, the broker of a running demo, or the data of a finished run.

The data of a finished run is read through a broker that is started on it while the command runs, so that all commands read
one way. A run in one process leaves a file of its messages, which is loaded into an in-memory bus.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from harden.bus.kafka import KafkaBus
from harden.bus.memory import MemoryBus
from harden.bus.ports import Bus, Incoming
from harden.cli.config import CliConfig
from harden.cli.output import note
from harden.config import KafkaSettings
from harden.domain.errors import SetupError
from harden.local.kept_log import read
from harden.local.rundir import STORE_IN_PROCESS, LocalRun
from harden.store.object_store import ObjectStore
from harden.store.ports import BlobStore

MAX_RECORDS = 500


@Parameter(name="*")
@dataclass(frozen=True)
class Where:
    """Which log to read."""

    run: Annotated[Path | None, Parameter(help="Directory of a run, running or over.")] = None
    kafka: Annotated[str | None, Parameter(help="A broker, host:port.")] = None


@dataclass(frozen=True)
class OpenLog:
    """A bus to read from, and whether services read what is written to it."""

    bus: Bus
    is_live: bool
    store_uri: str
    verify_key_files: tuple[Path, ...]
    signing_key_file: Path | None  # None where the settings name none
    timeout_s: float
    store_called: str | None = None

    def store(self) -> BlobStore:
        return ObjectStore(self.store_uri, called=self.store_called)


@contextmanager
def open_log(where: Where | None) -> Iterator[OpenLog]:
    """SetupError where there is no log to be read, saying how to get one."""
    where = where or Where()
    config = CliConfig()
    if where.run and where.kafka:
        raise SetupError("--run and --kafka name two logs; give one of them")
    if where.kafka:
        config = CliConfig(kafka={**config.kafka.model_dump(), "bootstrap_servers": where.kafka})
    if where.kafka or (where.run is None and _names_a_broker(config)):
        with _closing(KafkaBus(config.kafka)) as bus:
            yield OpenLog(
                bus,
                True,
                config.store.uri,
                config.keys.verify_key_files,
                config.keys.signing_key_file,
                config.cli.read_timeout_s,
            )
        return
    run = LocalRun(where.run or config.cli.run_dir)
    if run.kept_log.is_file():
        yield OpenLog(
            _kept_bus(run),
            False,
            str(run.store),
            (run.verify_key,),
            run.signing_key,
            config.cli.read_timeout_s,
            STORE_IN_PROCESS,
        )
        return
    with _broker_of(run) as (bootstrap_servers, is_live):
        settings = config.kafka.model_copy(update={"bootstrap_servers": bootstrap_servers})
        with _closing(KafkaBus(settings)) as bus:
            yield OpenLog(bus, is_live, str(run.store), (run.verify_key,), run.signing_key, config.cli.read_timeout_s)


def _kept_bus(run: LocalRun) -> Bus:
    bus = MemoryBus()
    bus.create_topics()
    bus.append(list(read(run.kept_log)))
    return bus


def _names_a_broker(config: CliConfig) -> bool:
    """Whether the environment sets a broker."""
    return config.kafka.bootstrap_servers != KafkaSettings().bootstrap_servers


@contextmanager
def _broker_of(run: LocalRun) -> Iterator[tuple[str, bool]]:
    live = run.live()
    if live is not None:
        yield live.bootstrap_servers, True
        return
    if not run.kafka.is_dir():
        raise SetupError(
            f"there is no log at {run.root}: `make demo` plays a run, --run names another run's directory, "
            "--kafka host:port a broker that is running"
        )
    from harden.local.kafka import LocalKafka

    note(f"{run.root} is over; starting a broker on its log to read it")
    with LocalKafka(run.kafka) as kafka:
        yield kafka.bootstrap_servers, False


@contextmanager
def _closing(bus: Bus) -> Iterator[Bus]:
    try:
        yield bus
    finally:
        bus.close()


def read_all(log: OpenLog, topics: Sequence[str], keep: Callable[[Incoming], bool] = lambda _: True) -> list[Incoming]:
    """Every message now on the topics for which `keep` is true, oldest first within a partition."""
    reader = log.bus.log_reader(list(topics), client_id="cli")
    kept: list[Incoming] = []
    deadline = time.monotonic() + log.timeout_s
    try:
        while not reader.caught_up():
            if time.monotonic() > deadline:
                raise SetupError(
                    f"{', '.join(topics)} could not be read to the end within {log.timeout_s:.0f} s; "
                    "raise HARDEN_CLI__READ_TIMEOUT_S"
                )
            kept += [message for message in reader.poll(0.2, MAX_RECORDS) if keep(message)]
        return kept
    finally:
        reader.close()
