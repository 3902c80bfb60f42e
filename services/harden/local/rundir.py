"""The layout of a local run's directory, and its lock."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harden.domain.errors import SetupError

# A directory with one of these files is a run, which the next run may replace.
MARKS = ("supervisor.json", "experiment.yaml", "progress.json", ".lock")

# What references begin with in the store of a run in one process, wherever its directory lies: the digests of two such runs
# can be compared.
STORE_IN_PROCESS = "run:store"


@dataclass(frozen=True, slots=True)
class Live:
    """Where the parts of a running ring answer."""

    pid: int
    bootstrap_servers: str
    triton_grpc: str
    triton_http: str
    admin_ports: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class LocalRun:
    """Paths are absolute, so that processes may run anywhere."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", self.root.absolute())

    @property
    def kafka(self) -> Path:
        """Kafka's data: kept after the run, so that `harden bout show` and its like can read it."""
        return self.root / "kafka"

    @property
    def kept_log(self) -> Path:
        """The log of a run in one process; see harden.local.kept_log."""
        return self.root / "events.binpb"

    @property
    def triton(self) -> Path:
        return self.root / "triton"

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def signing_key(self) -> Path:
        return self.root / "keys" / "signing.pem"

    @property
    def verify_key(self) -> Path:
        return self.root / "keys" / "verify.pem"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def experiment(self) -> Path:
        return self.root / "experiment.yaml"

    def live(self) -> Live | None:
        """The ring that runs on this directory now; None where none does."""
        try:
            live = Live(**json.loads((self.root / "ring.json").read_text()))
            os.kill(live.pid, 0)
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, ProcessLookupError):
            return None
        except PermissionError:
            return live
        return live

    def announce(self, live: Live) -> None:
        self.write("ring.json", asdict(live))

    def withdraw(self) -> None:
        (self.root / "ring.json").unlink(missing_ok=True)

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        self.write_text(name, json.dumps(content, indent=1))

    def write_text(self, name: str, text: str) -> None:
        """Replaces the file whole, never half."""
        path = self.root / name
        new = path.with_name(f".{path.name}.new")
        new.write_text(text, encoding="utf-8")
        new.replace(path)

    @contextmanager
    def claimed(self, *, resume: bool = False, in_process: bool = False) -> Iterator[None]:
        """Locks the directory until the end; empties it for a new run, keeps it for a run that resumes.

        SetupError where another run holds the lock, or where there is no checkpoint to resume from, or no log of that kind.
        """
        self._refuse_foreign()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock_file = (self.root / ".lock").open("w")
        except OSError as error:
            raise SetupError(f"{self.root} cannot be written ({error.strerror}); give --run-dir another directory") from error
        with lock_file as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise SetupError(f"another run is using {self.root}; wait for it, or give another --run-dir") from error
            if resume:
                self._refuse_nothing_to_resume(in_process=in_process)
            else:
                self._empty()
            yield

    def forget_how_it_ended(self) -> None:
        """Removes the records of how the run ended: a resumed run that dies must not be taken for one that finished."""
        for name in ("run.json", "progress.json", "supervisor.json"):
            (self.root / name).unlink(missing_ok=True)

    def _empty(self) -> None:
        for path in self.root.iterdir():
            if path.name == ".lock":
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _refuse_nothing_to_resume(self, *, in_process: bool) -> None:
        if not any((self.root / "checkpoints").glob("[0-9]*")):
            raise SetupError(f"{self.root} has no checkpoint to go on from; leave --resume out to begin a new run there")
        log, other = (self.kept_log, self.kafka) if in_process else (self.kafka, self.kept_log)
        if log.exists():
            return
        if not other.exists():
            raise SetupError(f"the log of the run in {self.root} was not kept; leave --resume out to begin a new run there")
        if in_process:
            raise SetupError(f"the run in {self.root} was played on a broker; leave --in-process out to go on with it")
        raise SetupError(f"the run in {self.root} was played in one process; add --in-process to go on with it")

    def _refuse_foreign(self) -> None:
        if self.root.exists() and not self.root.is_dir():
            raise SetupError(f"{self.root} is a file; give --run-dir a directory")
        if self.root.is_dir() and any(self.root.iterdir()) and not any((self.root / mark).exists() for mark in MARKS):
            raise SetupError(f"{self.root} holds files that no run made; give --run-dir a new or empty directory")
