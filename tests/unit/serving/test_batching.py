import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace

import pytest

from harden.domain.completion import Sampling
from harden.domain.errors import PoisonError, TransientError
from harden.domain.policy import PolicyRef, Slot
from harden.serving.batching import Answer, Batcher, Serving
from harden.serving.ports import GenerateRequest, Prompt, Sample
from harden.serving.streaming import Stream
from harden.serving.transformers_engine import TransformersEngine
from tests.support.tiny_models import a_png, a_prompt, some_prompts

WAIT_S = 30


class GatedEngine:
    """The real engine behind a gate that the test opens for one batch at a time. Notes the sizes of the batches."""

    def __init__(self, engine: TransformersEngine) -> None:
        self._engine = engine
        self.vocab_size = engine.vocab_size
        self.began = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)
        self.batches: list[int] = []

    def generate(self, requests: Sequence[GenerateRequest]) -> list[list[Sample]]:
        self.batches.append(len(requests))
        self.began.release()
        assert self.gate.acquire(timeout=WAIT_S)
        return self._engine.generate(requests)

    def stream(self, request: GenerateRequest) -> Iterator[list[Sample]]:
        return self._engine.stream(request)

    def logprobs(self, prompts: Sequence[Prompt], token_ids_PT: Sequence[Sequence[int]]) -> list[list[float]]:
        return self._engine.logprobs(prompts, token_ids_PT)


def policy(version: int) -> PolicyRef:
    return PolicyRef(Slot.DEFENDER, version, f"sha256:{version:064x}")


def requests(count: int, num_samples: int = 2) -> list[GenerateRequest]:
    return [GenerateRequest(prompt, num_samples, Sampling(3), i) for i, prompt in enumerate(some_prompts(count))]


@pytest.fixture
def engine(text_engine: TransformersEngine) -> GatedEngine:
    return GatedEngine(text_engine)


@pytest.fixture
def batcher(engine: GatedEngine) -> Iterator[Batcher]:
    batcher = Batcher("defender", max_rows=8)
    batcher.swap(Serving(engine, policy(1)))
    yield batcher
    engine.gate.release(100)
    batcher.close()


def begin_a_batch(batcher: Batcher, engine: GatedEngine) -> "Future[Answer]":
    first = batcher.submit(requests(1))
    assert engine.began.acquire(timeout=WAIT_S)
    return first


def test_what_arrives_during_a_batch_is_the_next_batch(batcher: Batcher, engine: GatedEngine) -> None:
    begin_a_batch(batcher, engine)
    others = [batcher.submit([request]) for request in requests(3)]
    engine.gate.release(100)
    for other, expected in zip(others, engine._engine.generate(requests(3)), strict=True):
        assert [s.token_ids for s in other.result(WAIT_S).samples[0]] == [s.token_ids for s in expected]
    assert engine.batches == [1, 3]


def test_a_batch_holds_no_more_rows_than_allowed_and_no_call_is_split(batcher: Batcher, engine: GatedEngine) -> None:
    begin_a_batch(batcher, engine)
    calls = [batcher.submit(requests(count)) for count in (3, 1, 1, 7)]  # of 2 rows each: 6 and 2, then 2, then 14
    engine.gate.release(100)
    for call in calls:
        call.result(WAIT_S)
    assert engine.batches == [1, 4, 1, 7]


def test_a_batch_under_way_ends_on_the_policy_it_began_with(batcher: Batcher, engine: GatedEngine) -> None:
    under_way = begin_a_batch(batcher, engine)
    waiting = batcher.submit(requests(1))
    batcher.swap(Serving(engine, policy(2)))
    engine.gate.release(100)
    assert under_way.result(WAIT_S).policy == policy(1)
    assert waiting.result(WAIT_S).policy == policy(2)


def test_only_the_caller_of_an_unreadable_prompt_hears_of_it(batcher: Batcher, engine: GatedEngine) -> None:
    begin_a_batch(batcher, engine)
    good = batcher.submit(requests(1))
    bad = batcher.submit([GenerateRequest(a_prompt(images=(a_png(),)), 1, Sampling(2), 0)])
    engine.gate.release(100)
    assert len(good.result(WAIT_S).samples[0]) == 2
    with pytest.raises(PoisonError):
        bad.result(WAIT_S)


def test_a_bug_in_the_engine_reaches_who_asked_and_the_batcher_goes_on(batcher: Batcher, engine: GatedEngine) -> None:
    engine.gate.release(100)
    with pytest.raises(AttributeError):
        batcher.submit([replace(requests(1)[0], sampling=None)]).result(WAIT_S)  # type: ignore[arg-type]
    assert batcher.submit(requests(1)).result(WAIT_S).samples


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_batcher_whose_own_work_failed(engine: GatedEngine) -> None:
    def count(num_rows: int, seconds: float) -> None:
        raise ZeroDivisionError

    batcher = Batcher("defender", on_batch=count)
    batcher.swap(Serving(engine, policy(1)))
    begin_a_batch(batcher, engine)
    waiting = batcher.submit(requests(1))
    engine.gate.release(100)
    assert isinstance(waiting.exception(WAIT_S), ZeroDivisionError)
    batcher.close()
    with pytest.raises(RuntimeError, match="has failed"):
        batcher.submit(requests(1))


def test_asking_before_there_is_a_policy_or_after_the_end_is_transient(engine: GatedEngine) -> None:
    batcher = Batcher("defender")
    with pytest.raises(TransientError, match="no policy yet"):
        batcher.submit(requests(1))
    batcher.swap(Serving(engine, policy(1)))
    engine.gate.release(100)
    last = batcher.submit(requests(1))
    batcher.close()
    assert last.result(WAIT_S).samples
    with pytest.raises(TransientError, match="shutting down"):
        batcher.submit(requests(1))


def test_a_gathering_batcher_waits_until_it_is_full(engine: GatedEngine) -> None:
    batcher = Batcher("defender", max_rows=6, gather_s=WAIT_S)
    batcher.swap(Serving(engine, policy(1)))
    engine.gate.release(100)
    calls = [batcher.submit(requests(1)) for _ in range(3)]
    for call in calls:
        call.result(WAIT_S)
    assert engine.batches == [3]
    batcher.close()


def test_the_pieces_of_a_stream_join_to_the_whole_answer(batcher: Batcher) -> None:
    (request,) = requests(1, num_samples=3)
    pieces: list[Answer] = []
    whole = batcher.submit([request], on_token=Stream(pieces.append)).result(WAIT_S)
    for n, sample in enumerate(whole.samples[0]):
        parts = [piece.samples[0][n] for piece in pieces]
        assert sum((part.token_ids for part in parts), ()) == sample.token_ids
        assert sum((part.logprobs for part in parts), ()) == sample.logprobs
        assert "".join(part.text for part in parts) == sample.text
