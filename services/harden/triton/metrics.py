"""The catalogue's metrics on Triton's own /metrics, through the Python backend, which has its own classes for them."""

from typing import Any

import triton_python_backend_utils as pb_utils

from harden import metrics
from harden.domain.policy import PolicyPublished, PolicyRef, PolicyRefused, PolicyServed
from harden.metrics import Metric, Type

# Looked up when a family is made: the backend fills its module in after it has imported the model.
_KINDS = {Type.COUNTER: "COUNTER", Type.GAUGE: "GAUGE", Type.HISTOGRAM: "HISTOGRAM"}


class _Family:
    """One metric of the catalogue; its members by their labels, each made when first used."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        kind = getattr(pb_utils.MetricFamily, _KINDS[metric.type])
        self._family = pb_utils.MetricFamily(name=metric.name, description=metric.help, kind=kind)
        self._members: dict[tuple[str, ...], Any] = {}

    def of(self, *labels: str) -> Any:
        if labels not in self._members:
            named = dict(zip(self._metric.labels, labels, strict=True))
            buckets = {"buckets": list(self._metric.buckets)} if self._metric.type is Type.HISTOGRAM else {}
            self._members[labels] = self._family.Metric(labels=named, **buckets)
        return self._members[labels]


class SlotMetrics:
    """Implements SwapObserver, and counts what the slot computes."""

    def __init__(self, slot: str) -> None:
        self._slot = slot
        self._version = _Family(metrics.POLICY_VERSION)
        self._is_current = _Family(metrics.POLICY_IS_CURRENT)
        self._swaps = _Family(metrics.SWAPS)
        self._refused = _Family(metrics.SWAP_REFUSED)
        self._swap_seconds = _Family(metrics.SWAP_SECONDS)
        self._load_seconds = _Family(metrics.SWAP_LOAD_SECONDS)
        self._requests = _Family(metrics.POLICY_REQUESTS)
        self._tokens = _Family(metrics.POLICY_TOKENS)
        self._rows = _Family(metrics.POLICY_BATCH_ROWS)
        self._waiting = _Family(metrics.POLICY_WAITING)

    def served(self, status: PolicyServed, published: PolicyPublished) -> None:
        self._version.of(self._slot, "served").set(status.policy.version)
        self._swaps.of(self._slot, "served").increment(1)
        self._swap_seconds.of(self._slot).observe(max(0.0, status.served_at - published.published_at))
        self._load_seconds.of(self._slot).observe(status.load_ms / 1000)

    def refused(self, status: PolicyRefused, published: PolicyPublished) -> None:
        self._swaps.of(self._slot, "refused").increment(1)
        self._refused.of(self._slot, status.reason).increment(1)

    def not_restored(self, reason: str) -> None:
        self._refused.of(self._slot, reason).increment(1)

    def current(self, is_current: bool) -> None:
        self._is_current.of(self._slot).set(int(is_current))

    def answered(self, policy: PolicyRef, num_tokens: int) -> None:
        self._requests.of(self._slot, "ok").increment(1)
        self._tokens.of(self._slot).increment(num_tokens)

    def failed(self) -> None:
        self._requests.of(self._slot, "failed").increment(1)

    def computed(self, num_rows: int, num_waiting: int) -> None:
        self._rows.of(self._slot).observe(num_rows)
        self._waiting.of(self._slot).set(num_waiting)
