"""What a guard before a policy asks, what it refuses and what it passes on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from harden.domain import ids
from harden.domain.completion import Completion, Sampling
from harden.domain.conversation import BlobRef, Conversation, Image, Message, Speaker, Text
from harden.domain.policy import PolicyRef, Slot
from harden.serving.guarded import GuardedPolicies
from harden.serving.ports import GenerateRequest, Prompt
from harden.serving.transformers_engine import TransformersEngine
from harden.trainer.core.admission import NOT_SAMPLED, AdmissionRules, admits
from tests.support.builders import a_policy
from tests.support.tiny_models import a_png, a_prompt, some_prompts

ASKED = a_policy(Slot.DEFENDER_STABLE)


@dataclass
class Engines:
    """PolicyClient: one engine in every slot. `calls`: the slot and the number of requests of each."""

    engine: TransformersEngine
    calls: list[tuple[str, int]] = field(default_factory=list)

    def generate(self, slot: str, requests: Sequence[GenerateRequest]) -> list[list[Completion]]:
        self.calls.append((str(slot), len(requests)))
        by = a_policy(slot)
        return [
            [Completion(s.text, s.token_ids, s.logprobs, s.finish_reason, by.digest, by.version) for s in samples]
            for samples in self.engine.generate(requests)
        ]

    def served(self, slot: str) -> PolicyRef | None:
        return a_policy(slot)


@dataclass
class WordGuard:
    """Asks about a request with its last message alone, of none that says `w7`, and forbids an answer of `forbidden`."""

    forbidden: set[str]
    refusal: str = "no"

    def question(self, conversation: Conversation) -> Conversation | None:
        if "w7" in conversation.last_text.split():
            return None
        return Conversation(conversation.messages[-1:])

    def forbids(self, answer: str) -> bool:
        return answer in self.forbidden


def a_request(text: str, seed: int = 0, num_samples: int = 3) -> GenerateRequest:
    return GenerateRequest(a_prompt(text), num_samples, Sampling(4), seed)


def said_to(engine: TransformersEngine, request: GenerateRequest) -> str:
    """What the policy answers to the guard's question about the request."""
    return engine.generate([GenerateRequest(request.prompt, 1, Sampling(16, 0.0), 0)])[0][0].text


def guarded(policies: Engines, *forbidden: str) -> GuardedPolicies:
    return GuardedPolicies(policies, WordGuard(set(forbidden)), asks=Slot.DEFENDER_STABLE, guarded=[Slot.DEFENDER])


def test_what_is_forbidden_is_refused_and_the_rest_is_answered_by_the_policy_in_order(text_engine: TransformersEngine) -> None:
    requests = [GenerateRequest(prompt, 3, Sampling(4), i) for i, prompt in enumerate(some_prompts(5))]
    policies = Engines(text_engine)
    found = guarded(policies, said_to(text_engine, requests[1])).generate(Slot.DEFENDER, requests)
    assert [[c.text for c in completions] for completions in found[1:2]] == [["no"] * 3]
    expected = text_engine.generate(requests)
    for i in (0, 2, 3, 4):
        assert [c.token_ids for c in found[i]] == [s.token_ids for s in expected[i]]
        assert {c.policy_digest for c in found[i]} == {a_policy(Slot.DEFENDER).digest}


def test_all_questions_are_one_call_and_all_requests_that_are_left_another(text_engine: TransformersEngine) -> None:
    requests = [a_request("w1 w2"), a_request("w3 w7"), a_request("w4"), a_request("w5 w6")]
    policies = Engines(text_engine)
    guarded(policies, said_to(text_engine, requests[0])).generate(Slot.DEFENDER, requests)
    assert policies.calls == [("defender_stable", 3), ("defender", 3)]


def test_a_policy_is_not_asked_where_all_is_forbidden_and_the_guard_not_where_there_is_no_question(
    text_engine: TransformersEngine,
) -> None:
    policies, request = Engines(text_engine), a_request("w1 w2")
    guard = guarded(policies, said_to(text_engine, request))
    guard.generate(Slot.DEFENDER, [request])
    guard.generate(Slot.DEFENDER, [a_request("w7")])
    assert policies.calls == [("defender_stable", 1), ("defender", 1)]


def test_other_slots_pass(text_engine: TransformersEngine) -> None:
    policies, request = Engines(text_engine), a_request("w1 w2")
    guard = guarded(policies, said_to(text_engine, request))
    assert guard.generate(Slot.SIDE, [request]) == Engines(text_engine).generate(Slot.SIDE, [request])
    assert policies.calls == [("side", 1)]
    assert guard.served(Slot.SIDE) == a_policy(Slot.SIDE)


def test_a_refusal_names_the_policy_that_forbade_and_cannot_be_learned_from(text_engine: TransformersEngine) -> None:
    request = a_request("w1 w2")
    ((refusal, *_),) = guarded(Engines(text_engine), said_to(text_engine, request)).generate(Slot.DEFENDER, [request])
    assert (refusal.policy_digest, refusal.policy_version) == (ASKED.digest, ASKED.version)
    assert (refusal.token_ids, refusal.logprobs) == ((), ())
    assert admits(refusal, lambda digest: 0, AdmissionRules()) == (False, NOT_SAMPLED)


def test_a_question_has_the_images_that_it_shows(image_text_engine: TransformersEngine) -> None:
    pictures = [a_png(1), a_png(2)]
    shown = [Image(BlobRef(f"memory://{i}", ids.digest_of(png), len(png))) for i, png in enumerate(pictures)]
    earlier, last = (Message(Speaker.USER, (image, Text("w1"))) for image in shown)
    request = GenerateRequest(Prompt(Conversation((earlier, last)), tuple(pictures)), 2, Sampling(4), 0)
    about_the_last = GenerateRequest(Prompt(Conversation((last,)), (pictures[1],)), 1, Sampling(4), 0)
    policies = Engines(image_text_engine)
    found = guarded(policies, said_to(image_text_engine, about_the_last)).generate(Slot.DEFENDER, [request])
    assert [c.text for c in found[0]] == ["no", "no"]
    assert policies.calls == [("defender_stable", 1)]
