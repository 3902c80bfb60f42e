"""Follows the `policies` topic for one slot and keeps its batcher on the newest policy that is what it claims to be.

published --> fetched --> digest and signature verified --> loaded beside the old one --> probed --> flipped
    an adapter: its base is fetched too, unless it lies here already, verified alike, and loaded with the adapter
    any failure: PolicyRefused(reason), the old policy keeps answering

After a restart the last policy that was accepted answers again, before the topic is read: see harden.serving.last_accepted.
That it is served is a lease, renewed until the replica ends: see harden.serving.leases.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from harden import codec
from harden.bus.ports import Bus, Incoming
from harden.domain import ids
from harden.domain.errors import PoisonError, TransientError
from harden.domain.events import Event, EventMeta
from harden.domain.policy import (
    PolicyBase,
    PolicyManifest,
    PolicyPublished,
    PolicyRef,
    PolicyRefused,
    PolicyRetired,
    PolicyServed,
    RefusalReason,
)
from harden.serving.batching import Batcher, Serving
from harden.serving.last_accepted import LastAccepted
from harden.serving.leases import Lease, LeaseTimes, Standing
from harden.serving.ports import Engine, EngineLoader
from harden.serving.probe import check_probe
from harden.store.policies import fetch_files, fetching_base, read_base, read_manifest
from harden.store.ports import BlobStore
from harden.store.signing import Verifier
from harden.topics import POLICIES, SERVED

SERVICE = "triton"
POLL_S = 0.5
# How long a publication waits for a store or broker that does not answer before it is tried again.
RETRY_S = 0.2
MAX_RECORDS = 500

_log = structlog.get_logger()


class SwapObserver(Protocol):
    """Hears of every decision, for metrics. Called on the follower's threads."""

    def served(self, word: PolicyServed, published: PolicyPublished) -> None: ...

    def refused(self, word: PolicyRefused, published: PolicyPublished) -> None: ...

    def not_restored(self, reason: str) -> None:
        """The last policy accepted before a restart could not be served again; the topic says what comes next."""
        ...

    def current(self, is_current: bool) -> None:
        """Whether the slot serves what is published; said again and again."""
        ...


class NoObserver:
    def served(self, word: PolicyServed, published: PolicyPublished) -> None: ...

    def refused(self, word: PolicyRefused, published: PolicyPublished) -> None: ...

    def not_restored(self, reason: str) -> None: ...

    def current(self, is_current: bool) -> None: ...


@dataclass(frozen=True)
class Source:
    """Where policies come from and whose signature counts."""

    bus: Bus
    store: BlobStore
    verifier: Verifier


@dataclass(frozen=True)
class _Loaded:
    """A policy that may be served. `base`: what it stands on, where it is an adapter."""

    serving: Serving
    base: PolicyBase | None
    max_error: float


class Follower:
    """Owns its threads. `replica` is the name under which it speaks on `served`; `work_dir` is the slot's own and
    outlives it.

    `on_failure` hears of an error that is a bug: the thread has ended then, and the process should.
    """

    def __init__(
        self,
        slot: str,
        source: Source,
        loader: EngineLoader,
        batcher: Batcher,
        *,
        replica: str,
        work_dir: Path,
        times: LeaseTimes | None = None,
        observer: SwapObserver | None = None,
        on_failure: Callable[[BaseException], None] = lambda error: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._slot = slot
        self._source = source
        self._loader = loader
        self._batcher = batcher
        self._replica = replica
        self._last = LastAccepted(work_dir)
        self._observer = observer or NoObserver()
        self._on_failure = on_failure
        self._now = now
        client_id = f"{SERVICE}-{slot}-{replica}"
        self._reader = source.bus.log_reader([POLICIES.name], client_id=client_id)
        self._producer = source.bus.producer(client_id=client_id)
        times = times or LeaseTimes()
        self._standing = Standing(times.swap_s)
        self._lease = Lease(self._producer, times, service=SERVICE, tick=self._tick, on_failure=on_failure, now=now)
        self._accepted: PolicyRef | None = None  # the last publication that was served
        self._base: PolicyBase | None = None  # what the policy served stands on, where it is an adapter
        self._has_read = False  # whether everything published before the start is known
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follower-{slot}", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._lease.start()

    def close(self) -> None:
        self._is_closed.set()
        if self._thread.is_alive():
            self._thread.join()
        self._lease.close()
        self._reader.close()
        self._producer.close()
        self._last.close()

    def _run(self) -> None:
        try:
            self._restore()
            pending: tuple[Event, PolicyPublished] | None = None
            while not self._is_closed.is_set():
                pending = self._newest(RETRY_S if pending else POLL_S, pending)
                if pending is not None and self._settle(*pending):
                    pending = None
                    self._tick()
        except BaseException as error:
            _log.exception("follower_failed", slot=self._slot)
            self._on_failure(error)

    def _newest(self, timeout_s: float, pending: tuple[Event, PolicyPublished] | None) -> tuple[Event, PolicyPublished] | None:
        """The last credible publication for the slot of `pending` and everything there is to read; those before it are
        superseded."""
        while messages := self._reader.poll(timeout_s, MAX_RECORDS):
            for message in messages:
                found = self._publication(message)
                if found is not None and self._is_credible(*found, pending):
                    pending = found
            timeout_s = 0.0
        if not self._has_read and self._reader.caught_up():
            self._has_read = True
            self._standing.has_read()
        return pending

    def _restore(self) -> None:
        """Serves the policy that was accepted before a restart. Where that fails, the slot waits for the topic."""
        began = time.monotonic()
        try:
            kept = self._last.read(self._source.verifier)
            if kept is None:
                return
            event, published, manifest = kept
            loaded = self._load(published, manifest, like=None)
        except (PoisonError, TransientError, OSError) as error:
            reason = error.reason if isinstance(error, PoisonError) else RefusalReason.DAMAGED_RECORD
            _log.warning("policy_not_restored", slot=self._slot, reason=reason, error=str(error))
            self._observer.not_restored(reason)
            self._last.forget()
            return
        self._standing.published(published.policy)
        try:
            self._flip(event, published, loaded, began)
        except TransientError as error:
            _log.warning("policy_waits", slot=self._slot, version=published.policy.version, error=str(error))
        _log.info("policy_restored", slot=self._slot, version=published.policy.version)

    def _is_credible(self, event: Event, published: PolicyPublished, pending: tuple[Event, PolicyPublished] | None) -> bool:
        """Whether its writer may say so and it is none that was overtaken; refuses it otherwise. So what was written to the
        topic without a key, or again, supersedes nothing."""
        last = pending[1].policy if pending else self._accepted
        policy = published.policy
        try:
            self._source.verifier.verify_publication(published)
            if last is not None and policy != last and policy.version <= last.version:
                raise PoisonError(RefusalReason.OLD_VERSION, f"version {last.version} came before version {policy.version}")
        except PoisonError as error:
            try:
                self._refuse(event, published, error)
            except TransientError as unsaid:
                _log.warning("refusal_unsaid", slot=self._slot, version=policy.version, error=str(unsaid))
            return False
        self._standing.published(policy)
        return True

    def _tick(self) -> bool:
        serving = self._batcher.serving
        is_current = self._standing.is_current(serving.policy if serving else None)
        self._observer.current(is_current)
        return is_current

    def _publication(self, message: Incoming) -> tuple[Event, PolicyPublished] | None:
        try:
            event = codec.from_message(POLICIES, message)
        except PoisonError as error:
            # Nobody to answer to: the slot it is about cannot be read. The policy in service is not touched.
            _log.warning("policy_event_unreadable", reason=error.reason, offset=message.offset)
            return None
        if isinstance(event.fact, PolicyPublished) and event.fact.policy.slot == self._slot:
            return event, event.fact
        accepted = self._accepted
        if isinstance(event.fact, PolicyRetired) and accepted is not None and accepted.digest == event.fact.policy.digest:
            self._last.forget()  # nothing may go back to it
        return None

    def _settle(self, event: Event, published: PolicyPublished) -> bool:
        """Serves or refuses it and says so. False where the moment is bad and it should be tried again."""
        began = time.monotonic()
        try:
            try:
                loaded = self._prepare(published)
            except PoisonError as error:
                self._refuse(event, published, error)
                return True
            self._flip(event, published, loaded, began)
            _log.info("policy_served", slot=self._slot, version=published.policy.version)
        except TransientError as error:
            _log.warning("policy_waits", slot=self._slot, version=published.policy.version, error=str(error))
            return False
        return True

    def _flip(self, event: Event, published: PolicyPublished, loaded: _Loaded, began: float) -> None:
        """Serves it, remembers it and says so. TransientError where it could not be said yet."""
        policy = published.policy
        self._batcher.swap(loaded.serving)
        self._accepted, self._base = policy, loaded.base
        load_ms = (time.monotonic() - began) * 1000
        served = PolicyServed(policy, self._replica, self._now(), load_ms, loaded.max_error, self._lease.until(), self._tick())
        self._observer.served(served, published)
        try:
            self._last.accept(event, policy, loaded.base)
        except OSError as error:
            _log.warning("policy_not_kept", slot=self._slot, version=policy.version, error=str(error))
        self._lease.hold(event, served)

    def _prepare(self, published: PolicyPublished) -> _Loaded:
        """The policy fetched, loaded and probed. PoisonError with a RefusalReason, TransientError."""
        current = self._batcher.serving
        if current is not None and current.policy.digest == published.policy.digest:
            return _Loaded(Serving(current.engine, published.policy), self._base, 0.0)
        data = self._source.store.get(published.manifest)
        manifest = read_manifest(self._source.verifier, published, data)
        if manifest.base is not None:
            with fetching_base(manifest.base):
                base_data = self._source.store.get(manifest.base.manifest)
                base = read_base(self._source.verifier, manifest.base, base_data)
                self._fetch(manifest.base.digest, base, base_data)
        self._fetch(published.policy.digest, manifest, data)
        return self._load(published, manifest, like=current.engine if current else None)

    def _fetch(self, digest: str, manifest: PolicyManifest, data: bytes) -> None:
        """Puts the files of a verified manifest, which `data` is, on the disk, unless they are there.

        What the policy in service was loaded from is never fetched over: after a restart it must answer again.
        """
        if not self._last.has(digest):
            fetch_files(self._source.store, manifest, self._last.room_for(digest, data))
            self._last.arrived(digest)

    def _load(self, published: PolicyPublished, manifest: PolicyManifest, like: Engine | None) -> _Loaded:
        """The policy, whose files lie here, loaded and probed. PoisonError with a RefusalReason."""
        files = self._last.files_of(published.policy.digest)
        if manifest.base is None:
            engine = self._loader.load(files, like)
        else:
            engine = self._loader.load(self._last.files_of(manifest.base.digest), like, adapter=files)
        return _Loaded(Serving(engine, published.policy), manifest.base, check_probe(engine, manifest.probe))

    def _refuse(self, event: Event, published: PolicyPublished, error: PoisonError) -> None:
        current = self._batcher.serving
        refused = PolicyRefused(
            policy=published.policy,
            replica=self._replica,
            reason=error.reason,
            detail=error.detail,
            still_serving=current.policy if current else None,
            refused_at=self._now(),
        )
        _log.warning("policy_refused", slot=self._slot, version=published.policy.version, reason=error.reason)
        self._standing.refused(published.policy)
        self._observer.refused(refused, published)
        self._last.clear()
        self._say(event, refused)

    def _say(self, cause: Event, word: PolicyRefused) -> None:
        meta = EventMeta(
            event_id=ids.child(cause.meta.event_id, "refused", self._replica),
            occurred_at=self._now(),
            service=SERVICE,
            parent_ids=(cause.meta.event_id,),
            policy_digests=(word.policy.digest,),
        )
        self._producer.send([codec.to_message(SERVED, Event(meta, word))])
