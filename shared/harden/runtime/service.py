"""What a service is to the worker that runs it: one topic in, one or more out, one function between."""

from collections.abc import Callable
from dataclasses import dataclass

from harden.domain.events import Fact
from harden.topics import Topic


@dataclass(frozen=True, slots=True)
class Service:
    """`handle` turns one fact into one. It may wait, is called from up to `max_in_flight` threads at once, and gives the
    same result for the same fact. It raises PoisonError for a fact that can never succeed, TransientError when retries
    (of its own adapters) ran out; anything else it raises is a bug and ends the process.

    The result is sent to the topic among `writes` that carries its event. ValueError where two of them carry the same.
    """

    name: str
    reads: Topic
    writes: tuple[Topic, ...]
    handle: Callable[..., Fact]
    max_in_flight: int
    group: str

    def __post_init__(self) -> None:
        events = [event for topic in self.writes for event in topic.events]
        twice = sorted({event for event in events if events.count(event) > 1})
        if twice:
            raise ValueError(f"service {self.name} writes {', '.join(twice)} to more than one topic; name one for each event")
