"""A trainer's side of a swap for tests: signs, stores and publishes policies, and listens to what replicas say."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harden import codec
from harden.bus.ports import Bus
from harden.domain import ids
from harden.domain.conversation import BlobRef
from harden.domain.events import Event, EventMeta
from harden.domain.policy import (
    Lineage,
    PolicyBase,
    PolicyManifest,
    PolicyPublished,
    PolicyRef,
    PolicyRefused,
    PolicyServed,
    Probe,
)
from harden.serving.ports import Prompt
from harden.serving.probe import make_probe
from harden.serving.transformers_loader import TransformersLoader
from harden.store.policies import publish_files, put_manifest
from harden.store.ports import BlobStore
from harden.store.signing import Signer
from harden.topics import POLICIES, SERVED
from tests.support.tiny_models import a_prompt

DEADLINE_S = 60.0


def a_probe(directory: Path, prompts: list[Prompt] | None = None) -> Probe:
    return make_probe(TransformersLoader().load(directory), prompts or [a_prompt("w1 w2 w3"), a_prompt("w7")])


def wait_for(is_so: Callable[[], bool], what: str, timeout_s: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.01)


@dataclass
class Publishing:
    """`publish` gives every publication the next version. `statuses` are all statuses that replicas have published so far."""

    bus: Bus
    store: BlobStore
    signer: Signer
    version: int = 0
    statuses: list[PolicyServed | PolicyRefused] = field(default_factory=list)
    manifests: dict[PolicyRef, BlobRef] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._producer = self.bus.producer(client_id="test-trainer")
        self._reader = self.bus.log_reader([SERVED.name], client_id="test-trainer")

    def close(self) -> None:
        self._producer.close()
        self._reader.close()

    def manifest(self, directory: Path, probe: Probe, base: PolicyBase | None = None) -> PolicyManifest:
        self.version += 1
        files = publish_files(self.store, directory)
        return PolicyManifest(files, probe, Lineage("run", 0, self.version, None, "test"), base)

    def base(self, directory: Path, probe: Probe) -> PolicyBase:
        """A policy in the store that adapters can stand on, of no slot."""
        blob, digest = put_manifest(self.store, self.signer, self.manifest(directory, probe))
        return PolicyBase(digest, blob)

    def publish(self, slot: str, directory: Path, probe: Probe, base: PolicyBase | None = None) -> PolicyRef:
        blob, digest = put_manifest(self.store, self.signer, self.manifest(directory, probe, base))
        policy = PolicyRef(slot, self.version, digest)
        self.manifests[policy] = blob
        self.announce(policy, blob)
        return policy

    def announce(self, policy: PolicyRef, manifest: BlobRef) -> None:
        lineage = Lineage("run", 0, policy.version, None, "test")
        published = self.signer.sign_publication(PolicyPublished(policy, manifest, lineage, "run", "step", time.time()))
        self.send(published)

    def send(self, published: PolicyPublished) -> None:
        """Publishes it as it is, with any signature or none."""
        policy = published.policy
        meta = EventMeta(ids.root("test-publication", policy.digest, policy.version, self.version), time.time(), "trainer")
        self._producer.send([codec.to_message(POLICIES, Event(meta, published))])

    def drain(self) -> None:
        """Forgets everything that was said so far."""
        while self._reader.poll(0.0, 100):
            pass
        self.statuses.clear()

    def verdict_on(self, policy: PolicyRef, timeout_s: float = DEADLINE_S) -> PolicyServed | PolicyRefused:
        """The first status of a replica on `policy`, waited for."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for status in self.statuses:
                if status.policy == policy:
                    return status
            for message in self._reader.poll(0.2, 100):
                fact = codec.from_message(SERVED, message).fact
                assert isinstance(fact, PolicyServed | PolicyRefused)
                self.statuses.append(fact)
        raise AssertionError(f"no replica said anything on {policy} within {timeout_s} s")
