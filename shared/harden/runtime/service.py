"""What a service is to the worker that runs it: a topic in, the topics out, one function between."""

from collections.abc import Callable
from dataclasses import dataclass

from harden.domain.events import Fact
from harden.topics import Topic


@dataclass(frozen=True, slots=True)
class Service:
    """`handle` turns one fact into one. It may wait, is called from `max_in_flight` threads at once, and gives the same
    result for the same fact. It raises PoisonError for a fact that can never succeed, TransientError when retries
    (of its own adapters) ran out; anything else it raises is a bug and ends the process. What it returns goes to the
    topic among `writes` that carries it.
    """

    name: str
    reads: Topic
    writes: tuple[Topic, ...]
    handle: Callable[..., Fact]
    max_in_flight: int
    group: str
