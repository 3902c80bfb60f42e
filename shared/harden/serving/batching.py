"""A thread in front of an engine: what arrives together is computed together, and the engine is exchanged between batches.

The engine never idles while something waits, and never waits for more once it is free (beyond a tiny window): under load
batches form by themselves from what arrived during the one before.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from harden.domain.errors import PoisonError, TransientError
from harden.domain.policy import PolicyRef
from harden.serving.ports import Engine, GenerateRequest, Sample

# As many as keep a CPU's caches useful; a GPU takes more (setting).
MAX_ROWS = 512


@dataclass(frozen=True)
class Serving:
    """What answers now. Its parts are exchanged together."""

    engine: Engine
    policy: PolicyRef


@dataclass(frozen=True)
class Answer:
    """[P][N] samples and the one policy that drew them all."""

    samples: list[list[Sample]]
    policy: PolicyRef


OnToken = Callable[[Answer], None]


@dataclass(frozen=True)
class _Call:
    requests: list[GenerateRequest]
    on_token: OnToken | None
    num_rows: int
    answer: "Future[Answer]" = field(default_factory=Future)


def _call(requests: Sequence[GenerateRequest], on_token: OnToken | None) -> _Call:
    return _Call(list(requests), on_token, sum(request.num_samples for request in requests))


class Batcher:
    """Owns the thread that computes. `gather_s`: how long the first call of a batch waits for company."""

    def __init__(
        self,
        name: str,
        *,
        max_rows: int = MAX_ROWS,
        gather_s: float = 0.0,
        on_batch: Callable[[int, float], None] = lambda num_rows, seconds: None,
    ) -> None:
        self.name = name
        self._max_rows = max_rows
        self._gather_s = gather_s
        self._on_batch = on_batch
        self._changed = threading.Condition()
        self._waiting: deque[_Call] = deque()
        self._serving: Serving | None = None
        self._is_closed = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"batcher-{name}", daemon=True)
        self._thread.start()

    @property
    def serving(self) -> Serving | None:
        return self._serving

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    def swap(self, serving: Serving) -> None:
        """From the next batch on. The batch under way ends on what it began with."""
        with self._changed:
            self._serving = serving

    def submit(self, requests: Sequence[GenerateRequest], on_token: OnToken | None = None) -> "Future[Answer]":
        """All of them in one batch. With `on_token` (one request only) also called after every token, on the batcher's thread.

        Raises TransientError while there is no policy.
        """
        assert on_token is None or len(requests) == 1
        call = _call(requests, on_token)
        self._put([call])
        return call.answer

    def submit_together(self, calls: Sequence[Sequence[GenerateRequest]]) -> "list[Future[Answer]]":
        """Several calls as if they had arrived at one moment: where nobody else asks, their order alone makes the batches.

        Raises TransientError while there is no policy.
        """
        put = [_call(requests, None) for requests in calls]
        self._put(put)
        return [call.answer for call in put]

    def close(self) -> None:
        """What waits is still computed."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _put(self, calls: Sequence[_Call]) -> None:
        with self._changed:
            if self._failure is not None:
                raise RuntimeError(f"the batcher of slot {self.name} has failed") from self._failure
            if self._serving is None:
                raise TransientError(f"slot {self.name} has no policy yet")
            if self._is_closed:
                raise TransientError(f"slot {self.name} is shutting down")
            self._waiting.extend(calls)
            self._changed.notify()

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:
            # A bug of ours. Nobody may wait for a thread that has ended.
            with self._changed:
                self._failure = error
                for call in self._waiting:
                    call.answer.set_exception(error)
            raise

    def _work(self) -> None:
        while calls := self._take():
            serving = self._serving
            assert serving is not None
            began = time.monotonic()
            if calls[0].on_token is not None:
                _stream(calls[0], serving)
            else:
                _generate(calls, serving)
            self._on_batch(sum(call.num_rows for call in calls), time.monotonic() - began)

    def _take(self) -> list[_Call]:
        """The next batch, in the order of arrival; empty when closed and nothing is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            if self._gather_s and self._waiting and not self._is_closed:
                self._changed.wait_for(self._is_full, self._gather_s)
            batch: list[_Call] = []
            num_rows = 0
            while self._waiting:
                call = self._waiting[0]
                is_stream = call.on_token is not None
                if batch and (is_stream or num_rows + call.num_rows > self._max_rows):
                    break
                batch.append(self._waiting.popleft())
                num_rows += call.num_rows
                if is_stream:
                    break
            return batch

    def _is_full(self) -> bool:
        return sum(call.num_rows for call in self._waiting) >= self._max_rows


def _generate(calls: Sequence[_Call], serving: Serving) -> None:
    try:
        samples = serving.engine.generate([request for call in calls for request in call.requests])
    except PoisonError as error:
        if len(calls) == 1:
            calls[0].answer.set_exception(error)
        else:  # One prompt cannot be read. Only its own caller hears of it.
            for call in calls:
                _generate([call], serving)
        return
    except Exception as error:  # A bug: it ends whoever asked, who must not wait for ever.
        for call in calls:
            call.answer.set_exception(error)
        return
    rest = iter(samples)
    for call in calls:
        call.answer.set_result(Answer([next(rest) for _ in call.requests], serving.policy))


def _stream(call: _Call, serving: Serving) -> None:
    assert call.on_token is not None
    try:
        so_far: list[Sample] = []
        for so_far in serving.engine.stream(call.requests[0]):
            call.on_token(Answer([so_far], serving.policy))
        call.answer.set_result(Answer([so_far], serving.policy))
    except Exception as error:  # Handed to whoever asked, as above.
        call.answer.set_exception(error)
