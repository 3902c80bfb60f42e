"""The catalogue of metrics. Dashboards, alerts and documents are checked against it; every exported metric is listed here.

Ids, prompts and model output are never labels: every label's values are few and known.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Type(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


# Seconds. From a decision in memory to a slow model's long answer.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """`exported_by` are services; `worker`: every service that the worker runs."""

    name: str
    type: Type
    help: str
    labels: tuple[str, ...] = ()
    exported_by: tuple[str, ...] = ("worker",)
    buckets: tuple[float, ...] = _SECONDS

    def counter(self, registry: CollectorRegistry) -> Counter:
        assert self.type is Type.COUNTER, self.name
        return cast(Counter, _register(self, registry))

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        assert self.type is Type.GAUGE, self.name
        return cast(Gauge, _register(self, registry))

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        assert self.type is Type.HISTOGRAM, self.name
        return cast(Histogram, _register(self, registry))


def _register(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    # The client appends `_total` to a counter's name itself.
    name = metric.name.removesuffix("_total")
    match metric.type:
        case Type.COUNTER:
            return Counter(name, metric.help, metric.labels, registry=registry)
        case Type.GAUGE:
            return Gauge(name, metric.help, metric.labels, registry=registry)
        case Type.HISTOGRAM:
            return Histogram(name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)


_TRAINER = ("trainer",)
_TRITON = ("triton",)

EVENTS_HANDLED = Metric(
    "harden_events_handled_total", Type.COUNTER, "Messages that a service finished.", ("outcome",)
)  # outcome: ok, poison
HANDLE_SECONDS = Metric("harden_handle_seconds", Type.HISTOGRAM, "From taking up a message until its child is acknowledged.")
DEAD_LETTERS = Metric("harden_dead_letters_total", Type.COUNTER, "Messages written to the dead-letter topics.", ("reason",))
RETRIES = Metric("harden_retries_total", Type.COUNTER, "Retries of a message after a transient failure.")
IN_FLIGHT = Metric("harden_in_flight", Type.GAUGE, "Messages taken up and not finished.")
GROUP_LAG = Metric("harden_group_lag", Type.GAUGE, "Messages of the group's topic that this member has not yet polled.")
GROUP_AGE_SECONDS = Metric("harden_group_age_seconds", Type.GAUGE, "Age of the oldest message in flight; 0 where none is.", ())
PROCESS_INFO = Metric("harden_process_info", Type.GAUGE, "Always 1; its label says which service this is.", ("service",))

BOUTS_SCHEDULED = Metric("harden_bouts_scheduled_total", Type.COUNTER, "Bouts scheduled.", ("purpose",), _TRAINER)
BOUTS_TRAINED = Metric("harden_bouts_trained_total", Type.COUNTER, "Bouts that took part in an update.", ("role",), _TRAINER)
BOUTS_EVALUATED = Metric("harden_bouts_evaluated_total", Type.COUNTER, "Bouts of evaluations and measurements.", (), _TRAINER)
BOUTS_DROPPED = Metric(
    "harden_bouts_dropped_total", Type.COUNTER, "Bouts that came back and were not used.", ("reason",), _TRAINER
)
BOUTS_EXPIRED = Metric("harden_bouts_expired_total", Type.COUNTER, "Bouts that did not come back in time.", (), _TRAINER)
BOUTS_OUTSTANDING = Metric("harden_bouts_outstanding", Type.GAUGE, "Bouts scheduled and not yet accounted for.", (), _TRAINER)
VERSION_LAG = Metric(
    "harden_version_lag",
    Type.HISTOGRAM,
    "Updates between the policy that answered a bout and the policy being trained.",
    ("role",),
    _TRAINER,
    (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0),
)
STEPS = Metric("harden_steps_total", Type.COUNTER, "Updates of a policy.", ("role",), _TRAINER)
STEP_SECONDS = Metric("harden_step_seconds", Type.HISTOGRAM, "From a complete batch to updated weights.", ("role",), _TRAINER)
ROUND = Metric("harden_round", Type.GAUGE, "The round being played; 0 is the state before any hardening.", (), _TRAINER)
ROLLBACKS = Metric("harden_rollbacks_total", Type.COUNTER, "Rounds rolled back by the quality monitor.", ("reason",), _TRAINER)
ATTACK_SUCCESS_RATE = Metric(
    "harden_attack_success_rate", Type.GAUGE, "Share of attacks of the last batch that succeeded.", (), _TRAINER
)
OVER_REFUSAL_RATE = Metric(
    "harden_over_refusal_rate", Type.GAUGE, "Share of the guarded suite refused in the last evaluation.", (), _TRAINER
)
ZERO_VARIANCE_SHARE = Metric(
    "harden_zero_variance_share", Type.GAUGE, "Share of groups whose rewards are all equal.", ("role",), _TRAINER
)
UNSCOREABLE = Metric(
    "harden_unscoreable_total", Type.COUNTER, "Questions on which the panel reached no decision.", ("question",), ("judge",)
)
ABSTENTIONS = Metric(
    "harden_abstentions_total",
    Type.COUNTER,
    "Attacks and responses that a panel member gave no opinion on.",
    ("member", "reason"),
    ("judge",),
)  # reason: no_opinion, outage, deadline, wrong_shape

POLICY_VERSION = Metric(
    "harden_policy_version",
    Type.GAUGE,
    "Version of a slot's policy: the newest published, the one served.",
    ("slot", "kind"),
    ("trainer", "triton"),
)  # kind: published, served
POLICY_IS_CURRENT = Metric(
    "harden_policy_is_current",
    Type.GAUGE,
    "1 while a slot serves the newest publication, or has none.",
    ("slot",),
    _TRITON,
)
SWAPS = Metric(
    "harden_swaps_total", Type.COUNTER, "Policies a replica decided on.", ("slot", "outcome"), _TRITON
)  # served, refused
SWAP_REFUSED = Metric("harden_swap_refused_total", Type.COUNTER, "Policies a replica refused.", ("slot", "reason"), _TRITON)
SWAP_SECONDS = Metric(
    "harden_swap_seconds", Type.HISTOGRAM, "From publication to the first answer of the policy.", ("slot",), _TRITON
)
SWAP_LOAD_SECONDS = Metric(
    "harden_swap_load_seconds", Type.HISTOGRAM, "Of a swap: fetching, checking, loading and probing.", ("slot",), _TRITON
)
POLICY_REQUESTS = Metric("harden_policy_requests_total", Type.COUNTER, "Requests to a policy.", ("slot", "outcome"), _TRITON)
POLICY_TOKENS = Metric("harden_policy_tokens_total", Type.COUNTER, "Tokens sampled.", ("slot",), _TRITON)
POLICY_BATCH_ROWS = Metric(
    "harden_policy_batch_rows",
    Type.HISTOGRAM,
    "Samples computed together.",
    ("slot",),
    _TRITON,
    (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0),
)
POLICY_WAITING = Metric(
    "harden_policy_waiting", Type.GAUGE, "Requests waiting when the last batch was done.", ("slot",), _TRITON
)

CATALOGUE: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))


def by_name(name: str) -> Metric:
    """The metric called `name`, also by the `_bucket`, `_sum` or `_count` of a histogram; KeyError where there is none."""
    metrics = {metric.name: metric for metric in CATALOGUE}
    if name not in metrics:
        for suffix in ("_bucket", "_sum", "_count"):
            base = metrics.get(name.removesuffix(suffix))
            if base is not None and base.type is Type.HISTOGRAM:
                return base
    return metrics[name]
