"""A replica counts while it renews its lease, and is current while it serves what is published."""

from pathlib import Path

import pytest

from harden.domain.policy import PolicyRef, PolicyServed
from harden.serving.leases import LeaseTimes, Standing
from harden.store.leases import CLOCK_ALLOWANCE_S, Leases
from harden.store.object_store import ObjectStore
from harden.trainer.publisher import Publisher
from tests.support.facts import a_policy

OLD, NEW = a_policy(version=6), a_policy(version=7)


class Clock:
    def __init__(self, at: float = 100.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def a_lease(policy: PolicyRef, replica: str, until: float, served_at: float = 100.0) -> PolicyServed:
    return PolicyServed(policy, replica, served_at, 10.0, 0.0, until, True)


def test_a_replica_that_is_gone_stops_counting_and_nothing_else_does() -> None:
    clock = Clock()
    leases = Leases(clock)
    leases.record(a_lease(OLD, "gone", until=110.0))
    leases.record(a_lease(NEW, "alive", until=110.0))
    assert not leases.is_served(NEW, 1)
    clock.at = 110.0 + CLOCK_ALLOWANCE_S + 0.1
    assert not leases.live(NEW.slot)
    leases.record(a_lease(NEW, "alive", until=125.0))
    assert leases.is_served(NEW, 1)
    assert not leases.is_served(NEW, 2)
    assert [lease.replica for lease in leases.live(NEW.slot)] == ["alive"]


def test_a_clock_that_is_a_little_behind_does_not_end_a_lease() -> None:
    leases = Leases(Clock(110.0 + CLOCK_ALLOWANCE_S))
    leases.record(a_lease(NEW, "alive", until=110.0))
    assert leases.is_served(NEW, 1)


def test_a_word_from_before_there_were_leases_does_not_count() -> None:
    leases = Leases(Clock())
    leases.record(a_lease(NEW, "yesterday", until=0.0))
    assert not leases.is_served(NEW, 1)


def test_a_renewal_is_no_second_swap(tmp_path: Path) -> None:
    clock = Clock()
    publisher = Publisher(None, ObjectStore(str(tmp_path)), run_id="run", num_replicas=1, now=clock)  # type: ignore[arg-type]
    publisher.swaps.published_at[NEW] = 99.0
    for until in (110.0, 112.0, 114.0):
        publisher.note_status(a_lease(NEW, "alive", until))
    assert publisher.swaps.windows == [(99.0, 100.0)]
    assert publisher.is_served(NEW)
    clock.at = 130.0
    assert not publisher.is_served(NEW)


def test_a_lease_that_one_late_renewal_would_end_is_not_set() -> None:
    with pytest.raises(ValueError, match="hold it longer"):
        LeaseTimes(renew_s=2.0, hold_s=3.0)


def test_a_replica_is_current_while_it_serves_what_is_published_or_nothing_is() -> None:
    clock = Clock()
    standing = Standing(60.0, clock)
    assert not standing.is_current(OLD)  # it does not know yet
    standing.has_read()
    assert standing.is_current(None)
    standing.published(OLD)
    assert not standing.is_current(None)
    assert standing.is_current(OLD)
    standing.published(NEW)
    assert standing.is_current(OLD)  # a swap takes its time
    clock.at += 61.0
    assert not standing.is_current(OLD)
    assert standing.is_current(NEW)


def test_a_refusal_ends_being_current_at_once() -> None:
    standing = Standing(60.0, Clock())
    standing.has_read()
    standing.published(NEW)
    standing.refused(OLD)
    assert standing.is_current(OLD)
    standing.refused(NEW)
    assert not standing.is_current(OLD)
