"""Holds judged bouts until the task that scheduled them takes them."""

from collections.abc import Callable, Iterable, Sequence

from harden.config import GATHER_S
from harden.domain.completion import SamplingStats
from harden.domain.errors import SetupError
from harden.domain.policy import PolicyRef
from harden.domain.verdict import JudgedBout
from harden.threads import Stop
from harden.trainer.core.ledger import End, Ledger
from harden.trainer.publisher import Publisher
from harden.trainer.ring import Arrival, DeadBout, Ring

POLL_S = 0.05


class Stopped(Exception):
    """The process was asked to stop while it waited. The checkpoint before the task is kept, so no work is lost."""


class Inbox:
    def __init__(self, ring: Ring, ledger: Ledger, publisher: Publisher, stop: Stop, now: Callable[[], float]) -> None:
        self._ring = ring
        self._ledger = ledger
        self._publisher = publisher
        self._stop = stop
        self._now = now
        self._arrived: dict[str, Arrival] = {}
        self._awaited: set[str] = set()  # evaluation bouts, which the ledger does not account for

    def expect(self, bout_ids: Iterable[str]) -> None:
        """Evaluation bouts to come. Training bouts are expected because the ledger has them open."""
        self._awaited.update(bout_ids)

    def take(self, bout_ids: Sequence[str], timeout_s: float, watch: Callable[[int], None]) -> list[JudgedBout]:
        """The bouts in the order asked for, without dead-lettered ones and those that expired: no arrival for `timeout_s`.

        `watch` is called with the number still missing when that changes.
        """
        missing = set(bout_ids) - self._arrived.keys()
        missing = {b for b in missing if self._is_wanted(b)}
        deadline = self._now() + timeout_s
        while missing:
            if self._stop.is_set():
                raise Stopped
            self._poll()
            left = {b for b in missing if b not in self._arrived and self._is_wanted(b)}
            if len(left) < len(missing):
                watch(len(left))
                deadline = self._now() + timeout_s
            elif self._now() > deadline:
                for bout_id in left:
                    self._ledger.end(bout_id, End.EXPIRED)
                left = set()
            missing = left
        self._awaited.difference_update(bout_ids)
        return [self._take(bout_id) for bout_id in bout_ids if bout_id in self._arrived]

    def wait_until_served(self, policy: PolicyRef, timeout_s: float) -> None:
        """Raises SetupError where a replica refuses `policy` or the time is up."""
        deadline = self._now() + timeout_s
        while not self._publisher.is_served(policy):
            if self._stop.is_set():
                raise Stopped
            refused = self._publisher.refusal_of(policy)
            if refused is not None:
                raise SetupError(
                    f"{refused.replica} refuses version {policy.version} of slot {policy.slot} ({refused.reason}: "
                    f"{refused.detail}); fix the cause and start again; the run resumes from its checkpoint"
                )
            if self._now() > deadline:
                raise SetupError(
                    f"no replica serves version {policy.version} of slot {policy.slot} after {timeout_s:.0f} s; "
                    "check that Triton runs, has the slot among HARDEN_TRITON__SLOTS, follows the policies topic and trusts "
                    "the signing key"
                )
            self._poll()

    def _poll(self) -> None:
        arrivals = self._ring.poll(POLL_S)
        for arrival in arrivals:
            match arrival.what:
                case JudgedBout() as judged:
                    if self._is_wanted(judged.bout.bout_id) and judged.bout.bout_id not in self._arrived:
                        self._arrived[judged.bout.bout_id] = arrival
                    else:
                        self._ring.used(arrival)  # delivered again, or too late to count
                case DeadBout(bout_id) if bout_id in self._arrived:
                    pass  # a second delivery of it died; the first one counts
                case DeadBout(bout_id):
                    self._ledger.end(bout_id, End.DEAD_LETTERED)
                    self._awaited.discard(bout_id)
                case status:
                    self._publisher.note_status(status)
        if arrivals:
            # So that the next poll brings many; see WorkerSettings.gather_s.
            self._stop.wait(GATHER_S)

    def _is_wanted(self, bout_id: str) -> bool:
        return self._ledger.is_open(bout_id) or bout_id in self._awaited

    def _take(self, bout_id: str) -> JudgedBout:
        arrival = self._arrived.pop(bout_id)
        self._ring.used(arrival)
        assert isinstance(arrival.what, JudgedBout)
        self._publisher.swaps.stats += _stats_of(arrival.what)
        return arrival.what


def _stats_of(judged: JudgedBout) -> list[SamplingStats]:
    return [stats for stats in (judged.sampled.stats, judged.sampled.attacked.stats) if stats is not None]
