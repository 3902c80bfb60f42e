"""What every worker counts."""

from prometheus_client import CollectorRegistry

from harden import metrics


class WorkerMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.handled = metrics.EVENTS_HANDLED.counter(registry)
        self.ok = self.handled.labels("ok")
        self.seconds = metrics.HANDLE_SECONDS.histogram(registry)
        self.dead_letters = metrics.DEAD_LETTERS.counter(registry)
        self.retries = metrics.RETRIES.counter(registry)
        self.in_flight = metrics.IN_FLIGHT.gauge(registry)
        self.lag = metrics.GROUP_LAG.gauge(registry)
        self.age = metrics.GROUP_AGE_SECONDS.gauge(registry)
