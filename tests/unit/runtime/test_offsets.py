"""The committed offset never passes unfinished work."""

from hypothesis import given
from hypothesis import strategies as st

from harden.runtime.offsets import OpenOffsets


def test_nothing_finished_is_nothing_to_commit() -> None:
    offsets = OpenOffsets()
    assert offsets.committable() is None
    offsets.begin(5, 0)
    assert offsets.committable() is None


def test_what_finished_out_of_order_waits_for_what_came_before() -> None:
    offsets = OpenOffsets()
    for offset in (5, 6, 9):  # a transaction's marker or a compacted record leaves gaps
        offsets.begin(offset, 0)
    offsets.finish(6)
    assert offsets.committable() is None
    offsets.finish(5)
    assert offsets.committable() == 9
    offsets.committed(9)
    assert offsets.committable() is None
    offsets.finish(9)
    assert offsets.committable() == 10


def test_the_oldest_unfinished_message_has_the_age() -> None:
    offsets = OpenOffsets()
    offsets.begin(1, 100)
    offsets.begin(2, 200)
    assert offsets.oldest_ms() == 100
    offsets.finish(1)
    assert offsets.oldest_ms() == 200
    offsets.finish(2)
    assert offsets.oldest_ms() is None


@given(st.data())
def test_in_any_order_of_finishing_every_unfinished_offset_is_read_again_and_in_the_end_none(data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=12))
    begun = [sum(steps[: n + 1]) for n in range(len(steps))]
    offsets, unfinished = OpenOffsets(), set(begun)
    for offset in begun:
        offsets.begin(offset, 0)
    last = begun[0]
    for offset in data.draw(st.permutations(begun)):
        offsets.finish(offset)
        unfinished.remove(offset)
        reached = offsets.committable()
        if reached is not None:
            assert reached > last
            assert all(other >= reached for other in unfinished)
            offsets.committed(reached)
            last = reached
    assert last == begun[-1] + 1
