"""Time and threads of the simulation itself."""

import random

import pytest

from tests.simulation.faults import Fault, Kind, draw, from_json, shortened, to_json
from tests.simulation.scheduler import Process, Scheduler, StuckError


def a_process(scheduler: Scheduler, name: str = "process") -> Process:
    errors: list[BaseException] = []
    process = scheduler.process(name, errors.append)
    process.errors = errors  # type: ignore[attr-defined]
    return process


def test_sleeping_takes_no_time_but_the_scheduler_s() -> None:
    scheduler, seen = Scheduler(0), list[float]()
    process = a_process(scheduler)

    def sleeper() -> None:
        for _ in range(3):
            process.sleep(100.0)
            seen.append(process.monotonic())

    process.start(sleeper, "sleeper")
    assert scheduler.run_until(lambda: len(seen) == 3, 1000.0)
    assert seen == [100.0, 200.0, 300.0]
    scheduler.close()


def test_who_goes_on_is_the_seed_s_and_always_the_same() -> None:
    def order(seed: int) -> list[int]:
        scheduler, went = Scheduler(seed), list[int]()
        process = a_process(scheduler)

        def run(number: int) -> None:
            for _ in range(3):
                went.append(number)
                scheduler.pause()

        for number in range(4):
            process.start(lambda number=number: run(number), str(number))
        scheduler.run_until(lambda: len(went) == 12, 1.0)
        scheduler.close()
        return went

    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(20)}) > 10


def test_a_killed_process_does_nothing_more_not_even_finally() -> None:
    scheduler, seen = Scheduler(0), list[str]()
    process, other = a_process(scheduler, "killed"), a_process(scheduler, "other")

    def victim() -> None:
        try:
            process.sleep(10.0)
            seen.append("woke")
        finally:
            seen.append("finally")

    process.start(victim, "victim")
    scheduler.at(5.0, process.kill)
    scheduler.at(6.0, lambda: seen.append("late"), process)
    other.start(lambda: other.sleep(20.0), "other")
    scheduler.run_until(lambda: scheduler.now > 15.0, 30.0)
    assert seen == []
    scheduler.close()


def test_a_stopped_process_goes_on_later() -> None:
    scheduler, woke = Scheduler(0), list[float]()
    process = a_process(scheduler)

    def sleeper() -> None:
        process.sleep(2.0)
        woke.append(process.monotonic())

    process.start(sleeper, "sleeper")
    scheduler.at(1.0, lambda: process.stop_for(10.0))
    assert scheduler.run_until(lambda: bool(woke), 60.0)
    assert woke == [11.0]
    scheduler.close()


def test_a_condition_tells_who_waits_and_times_out() -> None:
    scheduler, seen = Scheduler(0), list[str]()
    process = a_process(scheduler)
    condition, is_open = process.condition(), False

    def waiter() -> None:
        with condition:
            seen.append("told" if condition.wait_for(lambda: is_open, 5.0) else "waited in vain")

    def opener() -> None:
        nonlocal is_open
        process.sleep(2.0)
        with condition:
            is_open = True
            condition.notify_all()

    process.start(waiter, "one")
    assert scheduler.run_until(lambda: seen == ["waited in vain"], 10.0)
    process.start(waiter, "two")
    process.start(opener, "opener")
    assert scheduler.run_until(lambda: seen == ["waited in vain", "told"], 20.0)
    scheduler.close()


def test_what_escapes_from_a_thread_is_its_process_s_error() -> None:
    scheduler = Scheduler(0)
    process = a_process(scheduler)

    def broken() -> None:
        raise ArithmeticError("a bug")

    process.start(broken, "broken")
    assert scheduler.run_until(lambda: bool(process.errors), 1.0)  # type: ignore[attr-defined]
    scheduler.close()


def test_what_can_never_go_on_and_what_never_waits_are_both_noticed() -> None:
    scheduler = Scheduler(0)
    process = a_process(scheduler)

    def for_ever() -> None:
        with condition:
            condition.wait()

    condition = process.condition()
    process.start(for_ever, "waiter")
    with pytest.raises(StuckError, match="everything waits for ever"):
        scheduler.run_until(lambda: False, 10.0)

    def spin() -> None:
        while True:
            scheduler.pause()

    process.start(spin, "spinner")
    with pytest.raises(StuckError, match=r"time stands still at 0\.000 s.*process/spinner"):
        scheduler.run_until(lambda: False, 10.0)
    scheduler.close()


def test_faults_are_shortened_to_those_that_are_needed_and_kept_as_they_were() -> None:
    faults = draw(random.Random(3), tuple(Kind), 10.0)
    assert len(faults) > 10
    needed = {faults[2], faults[-1]}
    short = shortened(faults, lambda fewer: needed <= set(fewer))
    assert set(short) == needed
    assert from_json(to_json(7, short)) == (7, short)
    assert shortened(faults, lambda fewer: True) == []
    assert from_json(to_json(1, [Fault(0.5, Kind.KILL, 3, 2.0)])) == (1, [Fault(0.5, Kind.KILL, 3, 2.0)])
