"""W3C trace context in message headers: one trace follows a bout through every service."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from harden.bus.ports import Incoming

_PROPAGATOR = TraceContextTextMapPropagator()
_TRACER = trace.get_tracer("harden")


def start(service: str) -> None:
    """Makes this process one that begins traces. Without it, contexts that come in are still passed on."""
    trace.set_tracer_provider(TracerProvider(resource=Resource.create({"service.name": service})))


def current() -> Mapping[str, str]:
    """The headers that carry the span that is current here; empty where there is none."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier


@contextmanager
def span(name: str) -> Iterator[Mapping[str, str]]:
    """A span of its own, child of the current one; yields the headers that carry it on."""
    with _TRACER.start_as_current_span(name):
        yield current()


@contextmanager
def span_of(message: Incoming, name: str) -> Iterator[Mapping[str, str]]:
    """A span for the handling of `message`, child of the span that sent it; yields the headers that carry it on."""
    wanted = {"traceparent", "tracestate"}
    carrier = {key.lower(): value.decode("ascii", "replace") for key, value in message.headers if key.lower() in wanted}
    attributes: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.destination.name": message.topic,
        "messaging.destination.partition.id": str(message.partition),
        "messaging.kafka.offset": message.offset,
    }
    context = _PROPAGATOR.extract(carrier)
    with _TRACER.start_as_current_span(name, context=context, kind=trace.SpanKind.CONSUMER, attributes=attributes):
        yield current()
