"""The policy log: numbers, signs, publishes and retires policies. The only way to `policies`, for every writer alike.

A slot has one writer at a time. Its first publication or retirement takes the slot over: the broker fences the writer
before it, then the log is read to its end, so the next number follows everything that the other one wrote.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from harden import codec
from harden.bus.ports import Bus, ExclusiveProducer
from harden.domain import ids
from harden.domain.conversation import BlobRef
from harden.domain.errors import PoisonError, TransientError
from harden.domain.events import Event, EventMeta
from harden.domain.policy import Lineage, PolicyManifest, PolicyPublished, PolicyRef, PolicyRetired
from harden.store.policies import put_manifest
from harden.store.ports import BlobStore
from harden.store.signing import Signer
from harden.topics import POLICIES

READ_TIMEOUT_S = 30.0
POLL_S = 0.1
MAX_RECORDS = 500


@dataclass
class _Slot:
    producer: ExclusiveProducer
    version: int  # the highest ever written for the slot


class PolicyLog:
    """`service` and `run_id` identify the writer. Used by one thread; `close` it."""

    def __init__(
        self, bus: Bus, store: BlobStore, signer: Signer, *, service: str, run_id: str, now: Callable[[], float] = time.time
    ) -> None:
        self._bus = bus
        self._store = store
        self._signer = signer
        self._service = service
        self._run_id = run_id
        self._now = now
        self._slots: dict[str, _Slot] = {}

    def publish(self, slot: str, manifest: PolicyManifest, reason: str) -> PolicyPublished:
        """Puts the manifest, then publishes it. FencedError once another writer has taken the slot over; TransientError."""
        blob, digest = put_manifest(self._store, self._signer, manifest)
        return self.publish_again(slot, digest, blob, manifest.lineage, reason)

    def publish_again(self, slot: str, digest: str, manifest: BlobRef, lineage: Lineage, reason: str) -> PolicyPublished:
        """A new version of a manifest that lies in the store. Errors as for `publish`."""
        writer = self._writer(slot)
        # Never reused, even when sending fails: the broker may have taken what it did not acknowledge.
        writer.version += 1
        policy = PolicyRef(slot, writer.version, digest)
        unsigned = PolicyPublished(policy, manifest, lineage, self._run_id, reason, self._now())
        published = self._signer.sign_publication(unsigned)
        self._send(writer, policy, published, "published")
        return published

    def retire(self, policy: PolicyRef, reason: str) -> None:
        """Retires `policy`: it may not be published again. Errors as for `publish`."""
        self._send(self._writer(policy.slot), policy, PolicyRetired(policy, reason), "retired")

    def close(self) -> None:
        for writer in self._slots.values():
            writer.producer.close()

    def _send(self, writer: _Slot, policy: PolicyRef, fact: PolicyPublished | PolicyRetired, kind: str) -> None:
        event_id = ids.root(POLICIES.name, policy.slot, policy.version, kind)
        meta = EventMeta(event_id, self._now(), self._service, policy_digests=(policy.digest,))
        writer.producer.send([codec.to_message(POLICIES, Event(meta, fact))])

    def _writer(self, slot: str) -> _Slot:
        if slot not in self._slots:
            producer = self._bus.exclusive_producer(client_id=self._service, exclusive_name=f"policies.{slot}")
            # Read after the fence: the previous writer can add nothing.
            self._slots[slot] = _Slot(producer, self.newest_version(slot))
        return self._slots[slot]

    def newest_version(self, slot: str) -> int:
        """The highest version ever published for the slot, 0 without one. Does not take the slot over.

        Compaction keeps the newest publication, which has the highest number. TransientError.
        """
        reader = self._bus.log_reader([POLICIES.name], client_id=self._service)
        deadline = time.monotonic() + READ_TIMEOUT_S
        highest = 0
        try:
            while not reader.caught_up():
                if time.monotonic() > deadline:
                    raise TransientError(f"{POLICIES.name} could not be read to its end within {READ_TIMEOUT_S:.0f} s")
                for message in reader.poll(POLL_S, MAX_RECORDS):
                    try:
                        fact = codec.from_message(POLICIES, message).fact
                    except PoisonError:
                        continue  # of no policy that a replica could follow
                    if isinstance(fact, PolicyPublished | PolicyRetired) and fact.policy.slot == slot:
                        highest = max(highest, fact.policy.version)
        finally:
            reader.close()
        return highest
