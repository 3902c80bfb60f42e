"""The log of a run in one process: what is on disk after a kill, and what a resumed run makes of it."""

from pathlib import Path

import pytest

from harden import codec
from harden.bus.memory import MemoryBus
from harden.bus.ports import Incoming, Outgoing
from harden.domain.errors import SetupError
from harden.local.kept_log import open_kept_bus, read
from harden.topics import BOUTS, VERDICTS


def some(first: int, count: int = 2) -> list[Outgoing]:
    return [Outgoing(BOUTS.name, f"{n}".encode(), bytes(200), (("event", b"x"),)) for n in range(first, first + count)]


def everything(bus: MemoryBus) -> list[Incoming]:
    return [message for log in bus.logs.values() for message in log]


def test_every_message_is_in_the_file_when_it_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "events.binpb"
    with open_kept_bus(path) as (bus, log):
        bus.append(some(0))
        bus.producer(client_id="test").send([Outgoing(VERDICTS.name, b"v", b"verdict")])
        # Read while it is open, as after a kill: nothing waits for the end of the process.
        assert list(read(path)) == [*some(0), Outgoing(VERDICTS.name, b"v", b"verdict")]
        assert log.num_bytes == path.stat().st_size


def test_a_resumed_run_has_the_log_as_it_was_at_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "events.binpb"
    with open_kept_bus(path) as (bus, log):
        bus.append(some(0))
        checkpoint, then = log.num_bytes, [(m.partition, m.offset, m.key) for m in everything(bus)]
        bus.append(some(2))
    with open_kept_bus(path, checkpoint) as (bus, log):
        assert [(m.partition, m.offset, m.key) for m in everything(bus)] == then
        assert log.num_bytes == path.stat().st_size == checkpoint
        bus.append(some(7))
    assert list(read(path)) == [*some(0), *some(7)]


@pytest.mark.parametrize("torn", [1, 2, 100, 200])
def test_a_message_that_was_being_written_at_a_kill_is_left_out(tmp_path: Path, torn: int) -> None:
    path = tmp_path / "events.binpb"
    with open_kept_bus(path) as (bus, log):
        bus.append(some(0))
        whole = log.num_bytes
        bus.append(some(2, count=1))
    path.write_bytes(path.read_bytes()[: whole + torn])
    assert list(read(path)) == some(0)
    with open_kept_bus(path, whole) as (bus, _):
        assert path.stat().st_size == whole
        assert len(everything(bus)) == 2


def test_a_log_that_is_shorter_than_its_checkpoint_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.binpb"
    with open_kept_bus(path) as (bus, log):
        bus.append(some(0))
        checkpoint = log.num_bytes
    path.write_bytes(path.read_bytes()[:-1])
    before = path.read_bytes()
    with pytest.raises(SetupError, match="has to be played again"), open_kept_bus(path, checkpoint):
        pass
    assert path.read_bytes() == before, "it is left as it was"


def test_a_new_run_begins_with_an_empty_log(tmp_path: Path) -> None:
    path = tmp_path / "events.binpb"
    with open_kept_bus(path) as (bus, _):
        bus.append(some(0))
    with open_kept_bus(path) as (bus, log):
        assert everything(bus) == []
        assert log.num_bytes == 0


def test_what_is_packed_one_by_one_is_what_is_packed_together(tmp_path: Path) -> None:
    bus = MemoryBus()
    bus.create_topics()
    messages = bus.append(some(0, count=5))
    assert b"".join(codec.pack([message]) for message in messages) == codec.pack(messages)
