"""World and parser take a second to make, and services ask from many threads at once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from harden.worlds.arena import parser
from harden.worlds.arena import world as world_module
from harden.worlds.arena.language import Goal
from harden.worlds.arena.world import world

NUM_THREADS = 4


def test_threads_that_read_first_at_the_same_time_make_world_and_table_once() -> None:
    name = world().potions[0].name
    for made in (parser._classes, parser._table, world_module._made):
        made.cache_clear()
    together = Barrier(NUM_THREADS)

    def read(_: int) -> Goal | None:
        together.wait()
        request = parser.parse(f"how do i brew {name}")
        return request.goal if request else None

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        assert list(pool.map(read, range(NUM_THREADS))) == [Goal("brew", name)] * NUM_THREADS
    assert (world_module._made.cache_info().misses, parser._table.cache_info().misses) == (1, 1)
