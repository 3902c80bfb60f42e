"""The catalogue of metrics."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from harden import metrics
from harden.metrics import CATALOGUE, Metric, Type, by_name

CONTENT_LABELS = {"bout_id", "prompt", "text", "seed", "attack", "response", "policy_digest"}


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_every_metric_is_exported_under_its_own_name(metric: Metric) -> None:
    registry = CollectorRegistry()
    make = {Type.COUNTER: metric.counter, Type.GAUGE: metric.gauge, Type.HISTOGRAM: metric.histogram}[metric.type]
    made = make(registry)
    if metric.labels:
        made.labels(*["x"] * len(metric.labels))
    exported = generate_latest(registry).decode()
    suffix = "_bucket{" if metric.type is Type.HISTOGRAM else ("{" if metric.labels else " ")
    assert f"\n{metric.name}{suffix}" in exported
    assert metric.name.startswith("harden_")
    assert metric.name.endswith("_total") == (metric.type is Type.COUNTER)
    assert not CONTENT_LABELS & set(metric.labels)


def test_names_are_unique_and_found() -> None:
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE)
    assert by_name("harden_handle_seconds_bucket") is metrics.HANDLE_SECONDS
    with pytest.raises(KeyError):
        by_name("harden_group_lag_bucket")
