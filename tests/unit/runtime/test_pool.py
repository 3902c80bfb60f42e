"""As few threads as keep up."""

import threading

import pytest

from harden.runtime.delivery import FIRST_WAIT_S, MAX_WAIT_S, RetryLimit
from harden.runtime.pool import Pool
from tests.support.workers import wait_until


@pytest.fixture
def errors() -> list[BaseException]:
    return []


def threads_of(pool_name: str) -> int:
    return sum(thread.name.startswith(f"{pool_name}-") for thread in threading.enumerate())


def test_jobs_that_wait_get_a_thread_each_up_to_the_limit(errors: list[BaseException]) -> None:
    pool, gate, begun = Pool("slow", 3, errors.append), threading.Event(), threading.Semaphore(0)

    def job() -> None:
        begun.release()
        gate.wait()

    pool.put([job] * 5)
    for _ in range(3):
        assert begun.acquire(timeout=10)
    assert not begun.acquire(timeout=0.1)
    gate.set()
    for _ in range(2):
        assert begun.acquire(timeout=10)
    pool.close()
    wait_until(lambda: threads_of("slow") == 0, "the end of the threads")
    assert not errors


def made_quick(pool: Pool) -> None:
    done = threading.Semaphore(0)
    wait_until(lambda: pool.put([done.release] * 50) or (done.acquire(timeout=10) and pool.is_quick), "a quick pool")
    wait_until(lambda: not pool.has_waiting, "an empty queue")


def test_quick_jobs_share_a_thread_until_one_of_them_takes_long(errors: list[BaseException]) -> None:
    pool, gate, done = Pool("mixed", 4, errors.append), threading.Event(), threading.Semaphore(0)
    made_quick(pool)
    pool.put([gate.wait])
    pool.put([done.release] * 3)
    assert pool.has_waiting
    # The one busy thread is stuck; tending the pool is what notices.
    wait_until(lambda: pool.tend() or done.acquire(blocking=False), "a second thread")
    gate.set()
    pool.close()
    assert not errors


def test_urgent_jobs_come_before_those_that_wait(errors: list[BaseException]) -> None:
    pool, gate, order = Pool("order", 1, errors.append), threading.Event(), list[str]()
    pool.put([gate.wait, lambda: order.append("a")])
    pool.put([lambda: order.append("urgent")], first=True)
    gate.set()
    wait_until(lambda: len(order) == 2, "both")
    # The first job may have begun before or after the urgent one came; what waited behind it comes last.
    assert order == ["urgent", "a"]
    pool.close()


def test_what_a_job_raises_is_reported(errors: list[BaseException]) -> None:
    pool = Pool("broken", 1, errors.append)
    error = KeyError("a bug")

    def job() -> None:
        raise error

    pool.put([job])
    wait_until(lambda: errors, "the error")
    assert errors == [error]


def test_a_closed_pool_begins_nothing(errors: list[BaseException]) -> None:
    pool, gate, begun = Pool("closed", 1, errors.append), threading.Event(), threading.Event()
    pool.put([lambda: begun.set() or gate.wait()])
    assert begun.wait(10)
    late = threading.Event()
    pool.put([late.set])
    pool.close()
    gate.set()
    wait_until(lambda: threads_of("closed") == 0, "the end of the thread")
    assert not late.is_set()


def test_retries_wait_longer_each_time_and_end() -> None:
    limit = RetryLimit(attempts=20, timeout_s=1e6)
    for tries, longest in ((1, FIRST_WAIT_S), (2, 2 * FIRST_WAIT_S), (4, 8 * FIRST_WAIT_S), (19, MAX_WAIT_S)):
        wait = limit.wait_s(tries, 0.0)
        assert wait is not None
        assert longest / 2 <= wait <= longest
    assert limit.wait_s(20, 0.0) is None
    assert RetryLimit(attempts=20, timeout_s=1.0).wait_s(1, 0.99) is None
