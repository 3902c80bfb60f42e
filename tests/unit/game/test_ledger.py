import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harden.trainer.core.ledger import End, Ledger


def test_a_bout_ends_once() -> None:
    ledger = Ledger()
    ledger.schedule(["a"], 1)
    assert ledger.end("a", End.TRAINED)
    assert not ledger.end("a", End.TRAINED)
    assert ledger.account(1).trained == 1


def test_scheduling_again_after_a_restart_counts_once() -> None:
    ledger = Ledger()
    ledger.schedule(["a", "b"], 1)
    ledger.end("a", End.EXPIRED)
    ledger.schedule(["a", "b"], 1)
    assert ledger.account(1).scheduled == 2
    assert not ledger.is_open("a")


def test_a_bout_of_another_run_counts_nowhere() -> None:
    ledger = Ledger()
    assert not ledger.end("stranger", End.DEAD_LETTERED)
    assert ledger.account(1).dead_lettered == 0


def test_a_drop_needs_a_reason() -> None:
    ledger = Ledger()
    ledger.schedule(["a"], 1)
    with pytest.raises(AssertionError):
        ledger.end("a", End.DROPPED)


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from(list(End))), max_size=60))
def test_scheduled_is_always_the_sum_of_what_ended_and_what_is_open(ends: list[tuple[int, End]]) -> None:
    ledger = Ledger()
    ledger.schedule([f"bout {i}" for i in range(10)], 1)
    for i, how in ends:
        ledger.end(f"bout {i}", how, "stale")
    account = ledger.account(1)
    ended = account.trained + account.dead_lettered + account.expired + sum(account.dropped.values())
    assert account.scheduled == ended + ledger.num_open() == 10


def test_a_ledger_survives_a_checkpoint() -> None:
    ledger = Ledger()
    ledger.schedule(["a", "b", "c"], 2)
    ledger.end("a", End.DROPPED, "stale")
    restored = Ledger()
    restored.restore(json.loads(json.dumps(ledger.to_json())))
    assert restored.to_json() == ledger.to_json()
    assert restored.end("b", End.TRAINED)
    assert not restored.end("a", End.TRAINED)
