"""Waiting for verdicts and for replicas: what is taken, what is given up, and what a checkpoint may pass."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from harden.domain.bout import Bout
from harden.domain.errors import SetupError
from harden.domain.policy import PolicyRefused
from harden.trainer.core.ledger import End, Ledger
from harden.trainer.inbox import Inbox, Stopped
from harden.trainer.publisher import Publisher
from harden.trainer.ring import Ring
from tests.support.answering import AnsweringBus, a_lease, dead, played
from tests.support.builders import NOON, a_bout, a_policy
from tests.support.clock import Clock, Impatient

TIMEOUT_S = 10.0


@dataclass
class Desk:
    """An inbox with what stands around it. Nothing is answered but what the test puts on the log."""

    num_replicas: int = 1
    bus: AnsweringBus = field(default_factory=AnsweringBus)
    ledger: Ledger = field(default_factory=Ledger)
    stop: Impatient = field(default_factory=Impatient)
    now: Clock = field(default_factory=lambda: Clock(tick=1.0))
    seen: list[int] = field(default_factory=list)  # how many were missing, whenever that changed

    def __post_init__(self) -> None:
        self.bus.answers = lambda bout: []
        self.ring = Ring(self.bus, run_id="run", start=None, now=lambda: NOON)
        # It publishes nothing here.
        log: Any = None
        self.publisher = Publisher(log, self.bus.store, run_id="run", num_replicas=self.num_replicas, now=lambda: NOON)
        self.inbox = Inbox(self.ring, self.ledger, self.publisher, self.stop, lambda: self.now())

    def open(self, *names: str) -> list[Bout]:
        """Training bouts of these names, on their way."""
        bouts = [a_bout(name) for name in names]
        self.ledger.schedule([bout.bout_id for bout in bouts], 1)
        return bouts

    def take(self, bouts: Sequence[Bout]) -> list[Bout]:
        judged = self.inbox.take([bout.bout_id for bout in bouts], TIMEOUT_S, self.seen.append)
        return [one.bout for one in judged]

    def is_past_everything(self) -> bool:
        offsets = self.ring.offsets()
        return offsets == {partition: len(self.bus.logs[partition]) for partition in offsets}


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_bouts_come_in_the_order_asked_for_however_they_arrived(desk: Desk, order: Sequence[int]) -> None:
    bouts = desk.open("a", "b", "c")
    desk.bus.put(*(played(bouts[i]) for i in order))
    asked = [bouts[i] for i in reversed(order)]
    assert desk.take(asked) == asked
    assert desk.is_past_everything()


def test_a_verdict_delivered_twice_is_taken_once(desk: Desk) -> None:
    bouts = desk.open("a")
    desk.bus.put(*[played(bouts[0])] * 3)
    assert desk.take(bouts) == bouts
    desk.ledger.end(bouts[0].bout_id, End.TRAINED)
    desk.bus.put(played(bouts[0]))
    assert desk.take(desk.open("b")) == []
    assert desk.is_past_everything()


def test_a_verdict_that_came_before_it_was_asked_for_waits_and_holds_its_offset(desk: Desk) -> None:
    early, asked = desk.open("early"), desk.open("asked")
    desk.bus.put(played(early[0]), played(asked[0]))
    assert desk.take(asked) == asked
    assert not desk.is_past_everything()
    assert desk.take(early) == early
    assert desk.is_past_everything()


def test_a_verdict_of_nobodys_bout_is_passed_over(desk: Desk) -> None:
    bouts = desk.open("ours")
    desk.bus.put(played(a_bout("another run's")), played(bouts[0]))
    assert desk.take(bouts) == bouts
    assert desk.is_past_everything()


def test_a_bout_that_stays_away_expires_and_the_others_are_taken(desk: Desk) -> None:
    bouts = desk.open("a", "lost", "c")
    desk.bus.put(played(bouts[2]), played(bouts[0]))
    began = desk.now.at
    assert desk.take(bouts) == [bouts[0], bouts[2]]
    assert desk.now.at - began > TIMEOUT_S
    account = desk.ledger.account(1)
    assert (account.scheduled, account.expired) == (3, 1)
    assert not desk.ledger.is_open(bouts[1].bout_id)
    assert desk.seen == [1]


def test_a_verdict_of_a_bout_that_expired_changes_nothing(desk: Desk) -> None:
    bouts = desk.open("lost")
    assert desk.take(bouts) == []
    desk.bus.put(played(bouts[0]))
    assert desk.take(desk.open("next")) == []
    assert desk.take(bouts) == []
    assert desk.ledger.account(1).expired == 2
    assert desk.is_past_everything()


def test_every_sign_of_life_begins_the_wait_anew(desk: Desk) -> None:
    """Bouts that come one by one, each long after the one before, are waited for longer than the timeout in all."""
    bouts = desk.open("a", "b", "c", "d")
    left = [played(bout) for bout in bouts]
    began = desk.now.at

    class Answering(Clock):
        def __call__(self) -> float:
            if left and self.at >= began + (TIMEOUT_S - 2) * (len(bouts) - len(left) + 1):
                desk.bus.put(left.pop(0))
            return super().__call__()

    desk.now = Answering(began, tick=1.0)
    assert desk.take(bouts) == bouts
    assert desk.now.at - began > 2 * TIMEOUT_S
    assert desk.seen == [3, 2, 1, 0]


def test_a_bout_that_died_is_not_waited_for(desk: Desk) -> None:
    bouts = desk.open("dead", "alive")
    desk.bus.put(dead(bouts[0]), played(bouts[1]))
    began = desk.now.at
    assert desk.take(bouts) == [bouts[1]]
    assert desk.now.at - began < TIMEOUT_S
    account = desk.ledger.account(1)
    assert (account.dead_lettered, account.expired) == (1, 0)


def test_a_bout_of_which_a_second_delivery_died_is_taken(desk: Desk) -> None:
    """The first one went through: it is trained on, and counted so."""
    twice, second, third = desk.open("twice", "second", "third")
    desk.bus.put(played(twice), played(second))
    assert desk.take([second]) == [second]
    desk.bus.put(dead(twice), played(third))
    assert desk.take([third]) == [third]
    assert desk.take([twice]) == [twice]
    assert desk.ledger.is_open(twice.bout_id)
    assert desk.ledger.account(1).dead_lettered == 0


def test_a_bout_that_died_twice_is_counted_once(desk: Desk) -> None:
    bouts = desk.open("dead")
    desk.bus.put(dead(bouts[0]), dead(bouts[0]))
    assert desk.take(bouts) == []
    assert desk.ledger.account(1).dead_lettered == 1


def test_an_evaluation_bout_is_waited_for_where_it_was_expected_and_counted_nowhere(desk: Desk) -> None:
    bouts = [a_bout(name, learner=None) for name in ("judged", "dead", "lost")]
    began = desk.now.at
    assert desk.take(bouts) == []
    assert desk.now.at - began < 2
    desk.inbox.expect([bout.bout_id for bout in bouts])
    desk.bus.put(played(bouts[0]), dead(bouts[1]))
    assert desk.take(bouts) == [bouts[0]]
    assert desk.now.at - began > TIMEOUT_S
    assert desk.ledger.account(1).to_json() == Ledger().account(1).to_json()
    # What comes after all is nobody's.
    desk.bus.put(played(bouts[2]))
    desk.take(desk.open("next"))
    assert desk.take(bouts) == []
    assert desk.is_past_everything()


def test_an_evaluation_bout_that_died_is_not_waited_for(desk: Desk) -> None:
    bouts = [a_bout(name, learner=None) for name in ("dead", "judged")]
    desk.inbox.expect([bout.bout_id for bout in bouts])
    desk.bus.put(dead(bouts[0]), played(bouts[1]))
    began = desk.now.at
    assert desk.take(bouts) == [bouts[1]]
    assert desk.now.at - began < TIMEOUT_S


def test_a_stop_ends_the_wait_and_gives_nothing_up(desk: Desk) -> None:
    bouts = desk.open("a", "b")
    desk.bus.put(played(bouts[0]))

    def stop(missing: int) -> None:
        desk.stop.set()

    with pytest.raises(Stopped):
        desk.inbox.take([bout.bout_id for bout in bouts], TIMEOUT_S, stop)
    assert [desk.ledger.is_open(bout.bout_id) for bout in bouts] == [True, True]
    assert not desk.is_past_everything(), "the verdict that is there is read again after the restart"


def test_what_has_arrived_is_taken_also_while_stopping(desk: Desk) -> None:
    early, asked = desk.open("early"), desk.open("asked")
    desk.bus.put(played(early[0]), played(asked[0]))
    desk.take(asked)
    desk.stop.set()
    assert desk.take(early) == early


def test_what_sampling_cost_goes_into_the_account_of_swaps(desk: Desk) -> None:
    bouts = desk.open("a")
    desk.bus.put(played(bouts[0]))
    desk.take(bouts)
    assert desk.publisher.swaps.to_json()["requests"] == 1  # the attack is the seed itself


POLICY = a_policy(version=4)


def test_a_policy_that_is_served_is_waited_for_no_longer(desk: Desk) -> None:
    desk.bus.put(a_lease(POLICY))
    began = desk.now.at
    desk.inbox.wait_until_served(POLICY, TIMEOUT_S)
    assert desk.now.at - began < TIMEOUT_S


@pytest.mark.parametrize(
    "said",
    [
        pytest.param([], id="nothing"),
        pytest.param([a_lease(a_policy(version=3))], id="an older version"),
        pytest.param([a_lease(POLICY), a_lease(a_policy(version=3), "triton-1")], id="another replica an older version"),
        pytest.param([a_lease(POLICY, until=NOON - 60)], id="a lease that is over"),
    ],
)
def test_a_policy_that_nobody_or_not_everybody_serves_fails_the_run_when_the_time_is_up(desk: Desk, said: list) -> None:
    desk.bus.put(*said)
    with pytest.raises(SetupError, match=rf"no replica serves version 4 of slot {POLICY.slot} after 10 s; check that Triton"):
        desk.inbox.wait_until_served(POLICY, TIMEOUT_S)


def test_as_many_replicas_are_waited_for_as_the_settings_ask() -> None:
    desk = Desk(num_replicas=2)
    desk.bus.put(a_lease(POLICY, "triton-0"))
    with pytest.raises(SetupError, match="after 10 s"):
        desk.inbox.wait_until_served(POLICY, TIMEOUT_S)
    desk.bus.put(a_lease(POLICY, "triton-1"))
    desk.inbox.wait_until_served(POLICY, TIMEOUT_S)


def test_a_refusal_fails_the_run_at_once_with_what_the_replica_said(desk: Desk) -> None:
    desk.publisher.swaps.published_at[POLICY] = NOON
    desk.bus.put(PolicyRefused(POLICY, "triton-1", "wrong_signature", "not signed by us", None, NOON))
    began = desk.now.at
    with pytest.raises(SetupError, match=r"triton-1 refuses version 4 of slot defender \(wrong_signature: not signed by us\)"):
        desk.inbox.wait_until_served(POLICY, TIMEOUT_S)
    assert desk.now.at - began < TIMEOUT_S


def test_a_refusal_of_another_policy_is_no_reason_to_fail(desk: Desk) -> None:
    other = a_policy(version=3)
    desk.publisher.swaps.published_at[other] = NOON
    desk.bus.put(PolicyRefused(other, "triton-0", "truncated", "short", None, NOON), a_lease(POLICY))
    desk.inbox.wait_until_served(POLICY, TIMEOUT_S)


def test_a_stop_ends_the_wait_for_a_policy(desk: Desk) -> None:
    desk.stop.set()
    with pytest.raises(Stopped):
        desk.inbox.wait_until_served(POLICY, TIMEOUT_S)


def test_verdicts_that_come_while_a_policy_is_waited_for_are_kept(desk: Desk) -> None:
    bouts = desk.open("a")
    desk.bus.put(played(bouts[0]), a_lease(POLICY))
    desk.inbox.wait_until_served(POLICY, TIMEOUT_S)
    assert desk.take(bouts) == bouts
