"""Services ask from many threads at once: what is known about a world is put together once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from harden.worlds.arena import lore
from harden.worlds.arena.language import Goal

NUM_THREADS = 4


def test_threads_that_ask_first_at_the_same_time_get_one_lore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lore, "_MADE", {})
    together = Barrier(NUM_THREADS)

    def read(_: int) -> tuple[int, Goal | None]:
        together.wait()
        known = lore.lore_of("arena")
        request = known.reader.parse(f"how do i brew {known.world.potions[0].name}")
        return id(known), request.goal if request else None

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        found = set(pool.map(read, range(NUM_THREADS)))
    assert len(found) == 1
    assert next(iter(found))[1] is not None
