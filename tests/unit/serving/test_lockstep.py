"""What is computed together when jobs ask in lockstep, and who hears of an error."""

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest

from harden.domain.completion import Completion, FinishReason, Sampling
from harden.domain.errors import PoisonError, TransientError
from harden.domain.policy import PolicyRef
from harden.serving.batching import Answer, Batcher, Serving
from harden.serving.lockstep import LockstepPolicies
from harden.serving.ports import GenerateRequest, Prompt, Sample
from harden.serving.slots import completions
from tests.support.tiny_models import a_prompt

DEFENDER = PolicyRef("defender", 1, "sha256:" + "1" * 64)
WAIT_S = 30


def a_request(seed: int, num_samples: int = 1) -> GenerateRequest:
    return GenerateRequest(a_prompt("hello"), num_samples, Sampling(3), seed)


class EchoEngine:
    """Answers with the request's seed; notes the seeds of each batch. A seed below zero cannot be read."""

    vocab_size = 1

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def generate(self, requests: Sequence[GenerateRequest]) -> list[list[Sample]]:
        self.batches.append([request.random_seed for request in requests])
        if any(request.random_seed < 0 for request in requests):
            raise PoisonError("unreadable", "a seed below zero")
        return [
            [Sample(str(request.random_seed), (1,), (0.0,), FinishReason.STOP)] * request.num_samples for request in requests
        ]

    def stream(self, request: GenerateRequest) -> Iterator[list[Sample]]:
        raise NotImplementedError

    def logprobs(self, prompts: Sequence[Prompt], token_ids_PT: Sequence[Sequence[int]]) -> list[list[float]]:
        raise NotImplementedError


class OneSlot:
    """A TogetherClient of one batcher."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher

    def generate(self, slot: str, requests: Sequence[GenerateRequest]) -> list[list[Completion]]:
        return completions(self._batcher.submit(requests).result(WAIT_S))

    def generate_together(
        self, slot: str, calls: Sequence[Sequence[GenerateRequest]]
    ) -> list[list[list[Completion]] | Exception]:
        if slot != "defender":
            raise TransientError(f"slot {slot} is not served here")
        return [_outcome(answer.result, answer.exception) for answer in self._batcher.submit_together(calls)]

    def served(self, slot: str) -> PolicyRef | None:
        return DEFENDER


def _outcome(result: Callable[[], Answer], exception: Callable[[], BaseException | None]) -> list[list[Completion]] | Exception:
    error = exception()
    if error is not None:
        assert isinstance(error, Exception)
        return error
    return completions(result())


@pytest.fixture
def engine() -> EchoEngine:
    return EchoEngine()


@pytest.fixture
def policies(engine: EchoEngine) -> Iterator[LockstepPolicies]:
    batcher = Batcher("defender", max_rows=4)
    batcher.swap(Serving(engine, DEFENDER))
    lockstep = LockstepPolicies(OneSlot(batcher))
    yield lockstep
    lockstep.close()
    batcher.close()


def asking(policies: LockstepPolicies, *seeds: int) -> str:
    """A job that asks once for each seed, one after the other."""
    return " ".join(policies.generate("defender", [a_request(seed)])[0][0].text for seed in seeds)


def test_jobs_that_ask_once_are_computed_together_in_their_order(policies: LockstepPolicies, engine: EchoEngine) -> None:
    assert policies.run([partial(asking, policies, seed) for seed in (3, 1, 2)]) == ["3", "1", "2"]
    assert engine.batches == [[3, 1, 2]]


def test_a_batch_has_no_more_rows_than_allowed_and_no_call_is_split(policies: LockstepPolicies, engine: EchoEngine) -> None:
    def job(seed: int, num_samples: int) -> int:
        return len(policies.generate("defender", [a_request(seed, num_samples)])[0])

    rows = [2, 1, 3, 1, 4, 1]
    assert policies.run([partial(job, seed, num_samples) for seed, num_samples in enumerate(rows)]) == rows
    assert engine.batches == [[0, 1], [2, 3], [4], [5]]


def test_who_asks_again_is_computed_with_the_others_that_do(policies: LockstepPolicies, engine: EchoEngine) -> None:
    said = policies.run([partial(asking, policies, 1, 2), partial(asking, policies, 3), partial(asking, policies, 4, 5, 6)])
    assert said == ["1 2", "3", "4 5 6"]
    assert engine.batches == [[1, 3, 4], [2, 5], [6]]


def test_jobs_that_never_ask_hold_nobody_up(policies: LockstepPolicies, engine: EchoEngine) -> None:
    jobs: list[Callable[[], str]] = [
        lambda: "nothing",
        partial(asking, policies, 1),
        lambda: "nothing",
        partial(asking, policies, 2),
    ]
    assert policies.run(jobs) == ["nothing", "1", "nothing", "2"]
    assert engine.batches == [[1, 2]]


def test_no_two_jobs_run_at_once(policies: LockstepPolicies) -> None:
    running = threading.Lock()
    order: list[str] = []

    def job(name: int) -> None:
        for step in ("begins", "goes on", "ends"):
            assert running.acquire(blocking=False), "another job runs"
            order.append(f"{name} {step}")
            running.release()
            if step != "ends":
                policies.generate("defender", [a_request(name)])

    policies.run([partial(job, name) for name in range(3)])
    assert order == [f"{name} {step}" for step in ("begins", "goes on", "ends") for name in range(3)]


def test_an_error_is_raised_when_all_others_have_ended(policies: LockstepPolicies, engine: EchoEngine) -> None:
    ended: list[str] = []

    def breaks() -> None:
        raise RuntimeError("a bug")

    def goes_on() -> None:
        ended.append(asking(policies, 1, 2))

    with pytest.raises(RuntimeError, match="a bug"):
        policies.run([breaks, goes_on])
    assert ended == ["1 2"]
    assert policies.run([partial(asking, policies, 3)]) == ["3"], "the next jobs run as if nothing had been"


def test_a_prompt_that_cannot_be_read_is_its_own_job_s_trouble(policies: LockstepPolicies) -> None:
    def job(seed: int) -> str:
        try:
            return asking(policies, seed)
        except PoisonError as poison:
            return poison.reason

    assert policies.run([partial(job, seed) for seed in (1, -1, 2)]) == ["1", "unreadable", "2"]


def test_a_slot_that_is_not_served_is_told_to_those_who_asked_it(policies: LockstepPolicies) -> None:
    def elsewhere() -> str:
        try:
            policies.generate("attacker", [a_request(1)])
        except TransientError:
            return "away"
        return "there"

    assert policies.run([elsewhere, partial(asking, policies, 2)]) == ["away", "2"]


def test_without_a_job_a_call_is_passed_on(policies: LockstepPolicies, engine: EchoEngine) -> None:
    assert asking(policies, 1) == "1"
    assert policies.run([]) == []
    assert engine.batches == [[1]]
