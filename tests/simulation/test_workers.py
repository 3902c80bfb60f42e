"""Workers under faults: no schedule breaks what has to be true, and planted bugs do."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harden.bus.ports import Outgoing
from harden.domain.errors import TransientError
from harden.runtime.delivery import Deliveries
from harden.runtime.offsets import OpenOffsets
from harden.runtime.worker import Worker
from tests.simulation import workers
from tests.simulation.hunt import first_broken, shortest

# `make simulate` plays more.
SEEDS = range(150)


def test_no_schedule_breaks_anything() -> None:
    seed = first_broken("workers", SEEDS)
    assert seed is None, f"seed {seed}: {workers.play(seed, shortest('workers', seed)).broken}, {shortest('workers', seed)}"


def test_a_seed_is_played_alike_in_every_process() -> None:
    seeds = range(8)
    here = [workers.play(seed, workers.draw(seed)).digest for seed in seeds]
    assert here == [workers.play(seed, workers.draw(seed)).digest for seed in seeds]
    assert len(set(here)) == len(seeds)
    code = f"from tests.simulation import workers\nprint([workers.play(seed, workers.draw(seed)).digest for seed in {seeds!r}])"
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(root)}
    there = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert there.stdout.splitlines()[-1] == str(here)


def finished_before_it_is_sent(patch: pytest.MonkeyPatch) -> None:
    send, close = Worker._send, Worker._close

    def too_early(self: Worker, task: object, outgoing: Outgoing) -> None:
        task.offsets.finish(task.message.offset)  # type: ignore[attr-defined]
        send(self, task, outgoing)  # type: ignore[arg-type]

    patch.setattr(Worker, "_send", too_early)
    patch.setattr(Worker, "_close", lambda self, task, **told: close(self, task, **(told | {"is_finished": False})))


def commits_what_was_polled(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OpenOffsets, "committable", lambda self: self._next if self._next != self._committed else None)


def ignores_revocations(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Worker, "_on_revoked", lambda self, partitions: None)


def takes_a_lost_message_for_sent(patch: pytest.MonkeyPatch) -> None:
    done = Deliveries._done

    def hopeful(self: Deliveries, delivery: object, error: Exception | None) -> None:
        done(self, delivery, None if isinstance(error, TransientError) else error)  # type: ignore[arg-type]

    patch.setattr(Deliveries, "_done", hopeful)


def buries_what_only_failed_for_a_moment(patch: pytest.MonkeyPatch) -> None:
    from harden.domain.errors import PoisonError
    from harden.runtime.handling import Handling

    def result(self: Handling, fact: object) -> object:
        try:
            return self._service.handle(fact)
        except TransientError as error:
            raise PoisonError("broken", str(error)) from error

    patch.setattr(Handling, "_result", result)


PLANTED = (
    finished_before_it_is_sent,
    commits_what_was_polled,
    ignores_revocations,
    takes_a_lost_message_for_sent,
    buries_what_only_failed_for_a_moment,
)


@pytest.mark.parametrize("plant", PLANTED, ids=[plant.__name__ for plant in PLANTED])
def test_a_planted_bug_is_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    seed = first_broken("workers", SEEDS)
    assert seed is not None
    assert workers.play(seed, shortest("workers", seed)).broken
