"""Asks policies in lockstep: jobs run one at a time, and what they ask is computed together once all that are left wait.

So batches depend on the jobs and their order alone, never on timing, as they do where threads race to ask.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from harden.domain.completion import Completion
from harden.domain.policy import PolicyRef
from harden.serving.ports import GenerateRequest

Answered = list[list[Completion]]
T = TypeVar("T")


class TogetherClient(Protocol):
    """A PolicyClient that can be given several calls at once; see harden.serving.in_process."""

    def generate(self, slot: str, requests: Sequence[GenerateRequest]) -> Answered: ...

    def generate_together(self, slot: str, calls: Sequence[Sequence[GenerateRequest]]) -> list[Answered | Exception]: ...

    def served(self, slot: str) -> PolicyRef | None: ...


class LockstepPolicies:
    """Implements PolicyClient. `close` it when no job runs.

    A call that does not come from the thread of a job is passed on as it comes.
    """

    def __init__(self, policies: TogetherClient) -> None:
        self._policies = policies
        self._current = threading.local()
        # Without a limit: a job that waits keeps its thread.
        self._threads = ThreadPoolExecutor(max_workers=2**16, thread_name_prefix="lockstep")

    def generate(self, slot: str, requests: Sequence[GenerateRequest]) -> Answered:
        turn: _Turn | None = getattr(self._current, "turn", None)
        if turn is None:
            return self._policies.generate(slot, requests)
        return turn.ask(_Call(self._current.number, slot, requests))

    def served(self, slot: str) -> PolicyRef | None:
        return self._policies.served(slot)

    def run(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """The results in order, when all jobs have ended. Raises the first error among them, also then."""
        results: list[T | BaseException] = [AssertionError("this job was not run")] * len(jobs)

        def begin(number: int) -> None:
            self._current.turn, self._current.number = turn, number
            try:
                results[number] = jobs[number]()
            except BaseException as error:
                results[number] = error
            finally:
                self._current.turn = None

        turn = _Turn(len(jobs), begin, self._threads)
        turn.start()
        while calls := turn.wait():
            self._compute(calls)
            turn.resume(calls)
        return [_result(one) for one in results]

    def close(self) -> None:
        self._threads.shutdown()

    def _compute(self, calls: "Sequence[_Call]") -> None:
        for slot in dict.fromkeys(call.slot for call in calls):
            asked = [call for call in calls if call.slot == slot]
            answers: Sequence[Answered | Exception]
            try:
                answers = self._policies.generate_together(slot, [call.requests for call in asked])
            except Exception as error:  # Nobody may wait for an answer that does not come: the jobs decide what it means.
                answers = [error] * len(asked)
            for call, answer in zip(asked, answers, strict=True):
                call.answer = answer


@dataclass(slots=True)
class _Call:
    """What job `number` asks. The answer is there when it is ready."""

    number: int
    slot: str
    requests: Sequence[GenerateRequest]
    answer: Answered | Exception | None = None
    ready: threading.Event = field(default_factory=threading.Event)


class _Turn:
    """One thread at a time has the turn: it runs jobs until one of them asks, and then another thread begins the next one."""

    def __init__(self, num_jobs: int, begin: Callable[[int], None], threads: ThreadPoolExecutor) -> None:
        self._begin = begin
        self._threads = threads
        self._moved = threading.Condition()
        self._next = deque(range(num_jobs))
        self._is_taken = False
        self._waiting: list[_Call] = []

    def start(self) -> None:
        self._is_taken = True
        self._threads.submit(self._work)

    def ask(self, call: _Call) -> Answered:
        with self._moved:
            self._waiting.append(call)
        if self._next:
            self._threads.submit(self._work)
        else:
            self._leave()
        call.ready.wait()
        if isinstance(call.answer, Exception):
            raise call.answer
        assert call.answer is not None
        return call.answer

    def wait(self) -> list[_Call]:
        """The calls of all jobs that have not ended, in the order of the jobs. Empty when all have."""
        with self._moved:
            self._moved.wait_for(lambda: not self._is_taken)
            calls, self._waiting = sorted(self._waiting, key=lambda call: call.number), []
        return calls

    def resume(self, calls: Sequence[_Call]) -> None:
        """Lets their jobs go on, one after the other, each until it asks again or ends."""
        for call in calls:
            with self._moved:
                self._is_taken = True
            call.ready.set()
            with self._moved:
                self._moved.wait_for(lambda: not self._is_taken)

    def _work(self) -> None:
        while self._next:
            self._begin(self._next.popleft())
        self._leave()

    def _leave(self) -> None:
        with self._moved:
            self._is_taken = False
            self._moved.notify_all()


def _result(one: T | BaseException) -> T:
    if isinstance(one, BaseException):
        raise one
    return one
