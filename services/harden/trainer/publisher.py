"""From a learner's weights to a policy that is served: blobs, then manifest, then event; and the account of the swaps."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harden.domain.completion import SamplingStats
from harden.domain.conversation import BlobRef
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
from harden.store.leases import Leases
from harden.store.policies import publish_files
from harden.store.policy_log import PolicyLog
from harden.store.ports import BlobStore

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
        log: PolicyLog,
        store: BlobStore,
        *,
        run_id: str,
        num_replicas: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._log = log
        self._store = store
        self._run_id = run_id
        self._num_replicas = num_replicas
        self._leases = Leases(now)
        self._refused: dict[tuple[str, int], PolicyRefused] = {}
        self.swaps = Swaps()

    def publish(
        self,
        slot: str,
        files: Mapping[str, bytes | Path],
        probe: Probe,
        *,
        learner_step: int,
        round_: int,
        parent: str | None,
        reason: str,
        base: Published | None = None,
    ) -> Published:
        """Weights and everything needed to run them, or an adapter on `base`, which is published whole. Doing it twice yields
        the same digest under another version."""
        lineage = Lineage(self._run_id, round_, learner_step, parent, "trainer")
        stands_on = PolicyBase(base.policy.digest, base.manifest) if base else None
        manifest = PolicyManifest(publish_files(self._store, files), probe, lineage, stands_on)
        return self._noted(self._log.publish(slot, manifest, reason), learner_step)

    def publish_again(self, old: Published, reason: str) -> Published:
        """Makes an older policy its slot's again, under a new version."""
        policy = old.policy
        return self._noted(
            self._log.publish_again(policy.slot, policy.digest, old.manifest, old.lineage, reason), old.learner_step
        )

    def _noted(self, fact: PolicyPublished, learner_step: int) -> Published:
        self.swaps.published_at[fact.policy.digest, fact.policy.version] = fact.published_at
        return Published(fact.policy, fact.manifest, fact.lineage, learner_step)

    def heard(self, word: PolicyServed | PolicyRefused) -> None:
        """Takes note of what a replica says."""
        key = (word.policy.digest, word.policy.version)
        begin = self.swaps.published_at.get(key)
        if isinstance(word, PolicyServed):
            # A swap ends with the first lease; its renewals end nothing.
            is_first = self._leases.heard(word)
            if is_first and begin is not None and word.served_at >= begin:
                self.swaps.windows.append((begin, word.served_at))
        elif begin is not None:
            self._refused[key] = word
            self.swaps.refused += 1

    def is_served(self, policy: PolicyRef) -> bool:
        """Whether as many replicas as the settings ask for, and all of the slot that are alive, answer with `policy`."""
        return self._leases.is_served(policy, self._num_replicas)

    def refusal_of(self, policy: PolicyRef) -> PolicyRefused | None:
        return self._refused.get((policy.digest, policy.version))

    def open_account(self) -> None:
        """Begins a new sum of swaps; publications still under way are carried over."""
        begun = {begin for begin, _ in self.swaps.windows}
        self.swaps = Swaps(published_at={key: at for key, at in self.swaps.published_at.items() if at not in begun})
