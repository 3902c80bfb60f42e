"""Renews a replica's word that it serves its policy, on a thread of its own: loading the next policy must not end the lease."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from harden import codec
from harden.bus.ports import Producer
from harden.domain import ids
from harden.domain.errors import TransientError
from harden.domain.events import Event, EventMeta
from harden.domain.policy import PolicyRef, PolicyServed
from harden.topics import SERVED

_log = structlog.get_logger()


@dataclass(frozen=True)
class LeaseTimes:
    """A lease is renewed every `renew_s` and holds for `hold_s`, so that a renewal or two may be late or lost.

    `swap_s` is how long a replica may take to serve a new publication before it no longer calls itself current.
    """

    renew_s: float = 2.0
    hold_s: float = 10.0
    swap_s: float = 60.0

    def __post_init__(self) -> None:
        if self.renew_s * 2 > self.hold_s:
            raise ValueError(f"a lease of {self.hold_s} s cannot bear one late renewal every {self.renew_s} s; hold it longer")


class Lease:
    """One replica's lease on one slot. Owns a thread.

    `tick` is called before every renewal, also while there is nothing to renew, and says whether the replica is current.
    """

    def __init__(
        self,
        producer: Producer,
        times: LeaseTimes,
        *,
        service: str,
        tick: Callable[[], bool],
        on_failure: Callable[[BaseException], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._producer = producer
        self._times = times
        self._service = service
        self._tick = tick
        self._on_failure = on_failure
        self._now = now
        # Held while a word is sent, so that no renewal of an older policy follows the first word on a newer one.
        self._lock = threading.Lock()
        self._held: tuple[Event, PolicyServed] | None = None
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hold(self, cause: Event, word: PolicyServed) -> None:
        """Says `word` and goes on saying it, also where the first time failed, with TransientError."""
        with self._lock:
            self._held = cause, word
            self._say(cause, word)

    def until(self) -> float:
        """When a lease ends that begins now."""
        return self._now() + self._times.hold_s

    def close(self) -> None:
        """The lease ends by itself. Waits for a renewal under way."""
        self._is_closed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._is_closed.wait(self._times.renew_s):
                self._renew(self._tick())
        except BaseException as error:
            _log.exception("lease_failed")
            self._on_failure(error)

    def _renew(self, is_current: bool) -> None:
        with self._lock:
            if self._held is None:
                return
            cause, word = self._held
            try:
                self._say(cause, replace(word, lease_until=self.until(), is_current=is_current))
            except TransientError as error:
                _log.warning("lease_not_renewed", slot=word.policy.slot, error=str(error))

    def _say(self, cause: Event, word: PolicyServed) -> None:
        meta = EventMeta(
            event_id=ids.child(cause.meta.event_id, "served", f"{word.replica}@{word.lease_until!r}"),
            occurred_at=self._now(),
            service=self._service,
            parent_ids=(cause.meta.event_id,),
            policy_digests=(word.policy.digest,),
        )
        self._producer.send([codec.to_message(SERVED, Event(meta, word))])


class Standing:
    """Whether a replica serves what is published, so that a load balancer may send it requests.

    What is not signed was not published. A newer publication leaves a replica `swap_s` to serve it, or a swap would take every
    replica out of rotation at once; a refusal ends that at once.
    """

    def __init__(self, swap_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._swap_s = swap_s
        self._monotonic = monotonic
        self._has_read = False
        self._newest: tuple[PolicyRef, float] | None = None  # and since when it is known
        self._refused: PolicyRef | None = None

    def has_read(self) -> None:
        """Everything that was published before the replica started is known."""
        self._has_read = True

    def published(self, policy: PolicyRef) -> None:
        self._newest = policy, self._monotonic()

    def refused(self, policy: PolicyRef) -> None:
        self._refused = policy

    def is_current(self, serving: PolicyRef | None) -> bool:
        if self._newest is None:
            return self._has_read
        newest, since = self._newest
        if serving == newest:
            return self._has_read
        return serving is not None and self._refused != newest and self._monotonic() - since <= self._swap_s
