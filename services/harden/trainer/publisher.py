"""Publishes a learner's weights as a policy (blobs, then manifest, then event), and keeps the account of swaps."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    learner_step: int  # updates of the weights; the unit of version lag


@dataclass
class Swaps:
    """Swaps of policies since the account was opened, and the latency of requests in that time."""

    published_at: dict[PolicyRef, float] = field(default_factory=dict)  # Unix seconds
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

    def to_checkpoint(self) -> dict[str, object]:
        """Publications that were served are left out: a replica that starts again serves them again, which is no swap."""
        begun = {begin for begin, _ in self.windows}
        return {
            "published_at": [[p.slot, p.version, p.digest, at] for p, at in self.published_at.items() if at not in begun],
            "windows": self.windows,
            "refused": self.refused,
            "stats": [[s.num_requests, s.num_failed, s.began_at, s.ended_at] for s in self.stats],
        }

    @classmethod
    def from_checkpoint(cls, data: Mapping[str, Any] | None) -> "Swaps":
        """An empty account for a checkpoint that has none."""
        if data is None:
            return cls()
        return cls(
            {PolicyRef(slot, version, digest): at for slot, version, digest, at in data["published_at"]},
            [(begin, end) for begin, end in data["windows"]],
            data["refused"],
            [SamplingStats(*stats) for stats in data["stats"]],
        )


def _quantile(ordered: Sequence[float], q: float) -> float | None:
    """Nearest rank; None of an empty sequence."""
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
        self._refused: dict[PolicyRef, PolicyRefused] = {}
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

    def publish_again(self, old: Published, reason: str, slot: str | None = None) -> Published:
        """Publishes an older policy again, under a new version of its slot, or for another slot."""
        policy = old.policy
        fact = self._log.publish_again(slot or policy.slot, policy.digest, old.manifest, old.lineage, reason)
        return self._noted(fact, old.learner_step)

    def is_unused(self, slot: str) -> bool:
        """Whether nothing was ever published for the slot, by this run or another."""
        return self._log.newest_version(slot) == 0

    def _noted(self, fact: PolicyPublished, learner_step: int) -> Published:
        self.swaps.published_at[fact.policy] = fact.published_at
        return Published(fact.policy, fact.manifest, fact.lineage, learner_step)

    def note_status(self, status: PolicyServed | PolicyRefused) -> None:
        """Records the status that a replica published: it serves a policy, or refuses it."""
        begin = self.swaps.published_at.get(status.policy)
        if isinstance(status, PolicyServed):
            # A swap ends with the first lease; renewals do not count.
            is_first = self._leases.record(status)
            if is_first and begin is not None and status.served_at >= begin:
                self.swaps.windows.append((begin, status.served_at))
        elif begin is not None:
            self._refused[status.policy] = status
            self.swaps.refused += 1

    def is_served(self, policy: PolicyRef) -> bool:
        """Whether at least `num_replicas` replicas of the slot are alive and all of them serve `policy`."""
        return self._leases.is_served(policy, self._num_replicas)

    def refusal_of(self, policy: PolicyRef) -> PolicyRefused | None:
        return self._refused.get(policy)

    def close(self) -> None:
        self._log.close()

    def open_account(self) -> None:
        """Begins a new account of swaps; publications not yet served are carried over."""
        begun = {begin for begin, _ in self.swaps.windows}
        self.swaps = Swaps(published_at={key: at for key, at in self.swaps.published_at.items() if at not in begun})
