"""From a learner's weights to a policy that is served: blobs, then manifest, then event; and the account of the swaps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harden.domain.completion import SamplingStats
from harden.domain.conversation import BlobRef
from harden.domain.policy import (
    Lineage,
    PolicyManifest,
    PolicyPublished,
    PolicyRef,
    PolicyRefused,
    PolicyServed,
    Probe,
)
from harden.store.policies import publish_files, put_manifest
from harden.store.ports import BlobStore
from harden.store.signing import Signer
from harden.trainer.ring import Ring

WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True, slots=True)
class Published:
    """A publication the trainer can repeat: a rollback publishes the same manifest again under a new version."""

    policy: PolicyRef
    manifest: BlobRef
    lineage: Lineage
    learner_step: int  # updates the weights have seen; what version lag is measured in


@dataclass
class Swaps:
    """What happened to policies since the account was opened, and how long requests took meanwhile."""

    published_at: dict[tuple[str, int], float] = field(default_factory=dict)  # (digest, version) -> Unix seconds
    windows: list[tuple[float, float]] = field(default_factory=list)  # publication to service, Unix seconds
    refused: int = 0
    stats: list[SamplingStats] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        waits_ms = sorted(1000 * (end - begin) for begin, end in self.windows)
        during: list[float] = []
        steady: list[float] = []
        for stats in self.stats:
            overlaps = any(stats.began_at < end and begin < stats.ended_at for begin, end in self.windows)
            (during if overlaps else steady).append(1000 * (stats.ended_at - stats.began_at))
        return {
            "count": len(waits_ms),
            "refused": self.refused,
            "requests": sum(stats.num_requests for stats in self.stats),
            "failed": sum(stats.num_failed for stats in self.stats),
            "publish_to_served_ms": {"p50": _quantile(waits_ms, 0.5), "max": max(waits_ms, default=None)},
            "latency_ms": {"steady_p99": _quantile(sorted(steady), 0.99), "during_swap_p99": _quantile(sorted(during), 0.99)},
        }


def _quantile(ordered: Sequence[float], q: float) -> float | None:
    """Nearest rank; None of nothing."""
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else None


class Publisher:
    def __init__(
        self,
        ring: Ring,
        store: BlobStore,
        signer: Signer,
        *,
        run_id: str,
        now: Callable[[], float],
        num_replicas: int,
    ) -> None:
        self._ring = ring
        self._store = store
        self._signer = signer
        self._run_id = run_id
        self._now = now
        self._num_replicas = num_replicas
        self._serving: dict[str, dict[str, PolicyRef]] = {}
        self._refused: dict[tuple[str, int], PolicyRefused] = {}
        self.swaps = Swaps()

    def publish(
        self,
        slot: str,
        files: Mapping[str, bytes | Path],
        probe: Probe,
        *,
        version: int,
        learner_step: int,
        round_: int,
        parent: str | None,
        reason: str,
    ) -> Published:
        """Weights and everything needed to run them. Doing it twice with the same version yields the same digest."""
        lineage = Lineage(self._run_id, round_, learner_step, parent, "trainer")
        manifest = PolicyManifest(slot, version, publish_files(self._store, files), probe, lineage)
        blob, policy = put_manifest(self._store, self._signer, manifest)
        published = Published(policy, blob, lineage, learner_step)
        self.announce(published, reason)
        return published

    def announce(self, published: Published, reason: str) -> None:
        """Says that `published` is its slot's policy now, for the first time or again."""
        at = self._now()
        # Before the event leaves: a fast replica may answer before the send returns.
        self.swaps.published_at[published.policy.digest, published.policy.version] = at
        self._refused.pop((published.policy.digest, published.policy.version), None)
        self._ring.publish(PolicyPublished(published.policy, published.manifest, published.lineage, reason, at))

    def heard(self, word: PolicyServed | PolicyRefused) -> None:
        """Takes note of what a replica says."""
        key = (word.policy.digest, word.policy.version)
        begin = self.swaps.published_at.get(key)
        if isinstance(word, PolicyServed):
            self._serving.setdefault(word.policy.slot, {})[word.replica] = word.policy
            if begin is not None and word.served_at >= begin:
                self.swaps.windows.append((begin, word.served_at))
        elif begin is not None:
            self._refused[key] = word
            self.swaps.refused += 1

    def is_served(self, policy: PolicyRef) -> bool:
        """Whether as many replicas as the settings ask for, and all that ever spoke for the slot, answer with `policy`."""
        replicas = self._serving.get(policy.slot, {}).values()
        return len(replicas) >= self._num_replicas and all(ref == policy for ref in replicas)

    def refusal_of(self, policy: PolicyRef) -> PolicyRefused | None:
        return self._refused.get((policy.digest, policy.version))

    def open_account(self) -> None:
        """Begins a new sum of swaps; publications still under way are carried over."""
        begun = {begin for begin, _ in self.swaps.windows}
        self.swaps = Swaps(published_at={key: at for key, at in self.swaps.published_at.items() if at not in begun})
