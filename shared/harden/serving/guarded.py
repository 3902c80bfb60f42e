"""A guard before a policy: another policy is asked first whether the request is allowed."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from harden.domain.completion import Completion, FinishReason, Sampling
from harden.domain.game import Guard
from harden.domain.policy import PolicyRef
from harden.serving.ports import GenerateRequest, PolicyClient, Prompt

# "It is not allowed", with an opening before it.
ANSWER = Sampling(max_tokens=16, temperature=0.0)


class GuardedPolicies:
    """Implements PolicyClient. Of requests to the slots `guarded`, the policy in the slot `asks` is asked first.

    Where it forbids one, every sample of it is the guard's refusal: without tokens, in the name of the policy that forbade it.
    All questions of a call are one call, and so are the requests that are left. TransientError where either slot does not
    answer.
    """

    def __init__(self, policies: PolicyClient, guard: Guard, *, asks: str, guarded: Collection[str]) -> None:
        self._policies = policies
        self._guard = guard
        self._asks = asks
        self._guarded = frozenset(guarded)

    def generate(self, slot: str, requests: Sequence[GenerateRequest]) -> list[list[Completion]]:
        if slot not in self._guarded:
            return self._policies.generate(slot, requests)
        refusals = self._refusals(requests)
        passed = [request for i, request in enumerate(requests) if i not in refusals]
        responses = iter(self._policies.generate(slot, passed) if passed else ())
        return [[refusals[i]] * request.num_samples if i in refusals else next(responses) for i, request in enumerate(requests)]

    def served(self, slot: str) -> PolicyRef | None:
        return self._policies.served(slot)

    def _refusals(self, requests: Sequence[GenerateRequest]) -> dict[int, Completion]:
        """By index of the request that is forbidden."""
        asked = {i: question for i, request in enumerate(requests) if (question := self._question(request)) is not None}
        if not asked:
            return {}
        answers = self._policies.generate(self._asks, list(asked.values()))
        return {
            i: self._refusal(answer) for i, [answer] in zip(asked, answers, strict=True) if self._guard.forbids(answer.text)
        }

    def _question(self, request: GenerateRequest) -> GenerateRequest | None:
        question = self._guard.question(request.prompt.conversation)
        if question is None:
            return None
        encoded = dict(zip(request.prompt.conversation.images(), request.prompt.images, strict=True))
        prompt = Prompt(question, tuple(encoded[image] for image in question.images()))
        return GenerateRequest(prompt, 1, ANSWER, request.random_seed)

    def _refusal(self, answer: Completion) -> Completion:
        return replace(answer, text=self._guard.refusal, token_ids=(), logprobs=(), finish_reason=FinishReason.STOP, hidden="")
