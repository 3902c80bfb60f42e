"""The log of a run in one process: a file in its directory that grows with every message, and that a resumed run cuts back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harden import codec
from harden.bus.memory import MemoryBus
from harden.bus.ports import Incoming, Outgoing
from harden.domain.errors import SetupError


class KeptLog:
    """The file, open for writing. What `append` has returned from survives the end of the process, also by SIGKILL."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        # Of what survives: counted when it has left this process.
        self.num_bytes = self._file.tell()

    def append(self, messages: Sequence[Incoming]) -> None:
        data = codec.pack(messages)
        self._file.write(data)
        self._file.flush()
        self.num_bytes += len(data)

    def close(self) -> None:
        self._file.close()


@contextmanager
def open_kept_bus(path: Path, num_bytes: int = 0) -> Iterator[tuple[MemoryBus, KeptLog]]:
    """A bus with the first `num_bytes` of the log, and the log cut back to them, to which the bus writes from then on.

    SetupError where the file is not the log it was.
    """
    messages = list(read(path, num_bytes)) if num_bytes else []
    path.touch()
    with path.open("r+b") as file:
        file.truncate(num_bytes)
    log = KeptLog(path)
    is_loaded = False
    # What is loaded stands in the file already.
    bus = MemoryBus(on_append=lambda appended: log.append(appended) if is_loaded else None)
    bus.create_topics()
    bus.append(messages)
    is_loaded = True
    try:
        yield bus, log
    finally:
        with bus.changed:
            is_loaded = False
            log.close()


def read(path: Path, num_bytes: int | None = None) -> Iterator[Outgoing]:
    """The messages of a log, or of its first `num_bytes`. SetupError where they cannot be read."""
    try:
        data = path.read_bytes()
        if num_bytes is not None and len(data) < num_bytes:
            raise ValueError(f"{len(data)} bytes where its checkpoint has {num_bytes}")
        yield from codec.unpack(data[:num_bytes])
    except (OSError, ValueError) as error:
        raise SetupError(f"{path} cannot be read: {error}; the run has to be played again") from error
