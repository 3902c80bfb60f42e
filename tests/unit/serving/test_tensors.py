import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harden.domain.completion import Completion, FinishReason, Sampling
from harden.domain.conversation import Message, Speaker
from harden.domain.errors import PoisonError
from harden.domain.policy import PolicyRef, Slot
from harden.serving.ports import GenerateRequest
from harden.serving.tensors import Wanted, read_answer, read_policy, read_requests, write_answer, write_requests
from tests.support.tiny_models import a_png, a_prompt

POLICY = PolicyRef(Slot.DEFENDER, 7, "sha256:" + "a" * 64)
WHOLE = Wanted(finish_reason=True, num_output_tokens=True, token_ids=True)

texts = st.text(max_size=30)
requests = st.builds(
    lambda text, system, num_images, n, seed, max_tokens, temperature: GenerateRequest(
        a_prompt(text, system=system, images=tuple(a_png(i) for i in range(num_images))),
        n,
        Sampling(max_tokens, temperature),
        seed,
    ),
    texts,
    texts,
    st.integers(0, 2),
    st.integers(1, 9),
    st.integers(0, 2**31 - 1),
    st.integers(1, 4096),
    st.floats(0, 10),
)


@given(st.lists(requests, max_size=4))
def test_requests_arrive_as_they_were_sent(sent: list[GenerateRequest]) -> None:
    received, wanted = read_requests(write_requests(sent))
    assert wanted == WHOLE
    assert [(r.num_samples, r.sampling, r.random_seed, r.prompt.images) for r in received] == [
        (r.num_samples, r.sampling, r.random_seed, r.prompt.images) for r in sent
    ]
    assert [list(map(plain, r.prompt.conversation.messages)) for r in received] == [
        list(map(plain, r.prompt.conversation.messages)) for r in sent
    ]


def plain(message: Message) -> tuple[Speaker, str, int]:
    return message.speaker, message.text, len(message.parts)


def float32(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, width=32)


completions = st.builds(
    lambda text, tokens, reason: Completion(
        text, tuple(t for t, _ in tokens), tuple(p for _, p in tokens), reason, POLICY.digest, POLICY.version
    ),
    texts,
    st.lists(st.tuples(st.integers(0, 2**31 - 1), float32(-100, 0)), max_size=8),
    st.sampled_from(FinishReason),
)


@given(st.lists(st.lists(completions, min_size=1, max_size=3), max_size=3))
def test_answers_arrive_as_they_were_sent(sent: list[list[Completion]]) -> None:
    asked = [GenerateRequest(a_prompt(), len(of_prompt), Sampling(8), 0) for of_prompt in sent]
    tensors = write_answer(sent, POLICY, WHOLE)
    assert read_answer(tensors, asked) == sent
    assert read_policy(tensors, Slot.DEFENDER) == POLICY


def test_an_answer_without_a_policy_says_so() -> None:
    assert read_policy(write_answer([], None, Wanted()), Slot.DEFENDER) is None


def test_images_in_base64_are_taken_too() -> None:
    tensors = {"text_input": strings("w1"), "image": strings(base64.b64encode(a_png()).decode())}
    (request,), _ = read_requests(tensors)
    assert request.prompt.images == (a_png(),)


def test_one_set_of_sampling_parameters_serves_all_prompts() -> None:
    received, _ = read_requests({"text_input": strings("w1", "w2"), "sampling_parameters": strings('{"n": 3}')})
    assert [request.num_samples for request in received] == [3, 3]


@pytest.mark.parametrize(
    ("tensors", "named"),
    [
        ({"text_input": ["w1"], "messages": ["[]"]}, "not both"),
        ({"messages": ["[]"]}, "without messages"),
        ({"messages": ["7"]}, "messages"),
        ({"messages": ['[{"role": "nobody", "content": "w1"}]']}, "messages"),
        ({"messages": ['[{"role": "user", "content": [{"type": "sound"}]}]']}, "messages"),
        ({"messages": ['[{"role": "user", "content": "w1"}]'], "image": ["iVBORw0KGgo="]}, "more images than messages"),
        ({"text_input": ["w1"], "sampling_parameters": ["{}", "{}"]}, "2 elements for 1 prompts"),
        ({"text_input": ["w1"], "sampling_parameters": ['{"n": 0}']}, "n is between 1 and 1024"),
        ({"text_input": ["w1"], "sampling_parameters": ['{"n": 1025}']}, "n is between 1 and 1024"),
        ({"text_input": ["w1"], "sampling_parameters": ['{"n": Infinity}']}, "sampling_parameters"),
        ({"text_input": ["w1"], "sampling_parameters": ["[" * 20_000]}, "sampling_parameters"),
        ({"messages": ["[" * 20_000]}, "messages is not a JSON list"),
        ({"text_input": ["w1"], "sampling_parameters": ['{"seed": -1}']}, "seed"),
        ({"text_input": ["w1"], "sampling_parameters": ['{"temperature": "warm"}']}, "sampling_parameters"),
        ({"text_input": ["w1"], "sampling_parameters": ["[]"]}, "sampling_parameters"),
    ],
)
def test_a_request_that_makes_no_sense_is_poison_that_names_the_tensor(tensors: dict[str, list[str]], named: str) -> None:
    with pytest.raises(PoisonError, match=named):
        read_requests({name: strings(*values) for name, values in tensors.items()})


def test_a_stream_takes_one_prompt() -> None:
    with pytest.raises(PoisonError, match="one prompt"):
        read_requests({"text_input": strings("w1", "w2"), "stream": np.array([True])})


def test_text_that_is_not_utf8_is_poison() -> None:
    with pytest.raises(PoisonError, match="UTF-8"):
        read_requests({"text_input": np.array([b"\xff"], dtype=np.object_)})


def test_messages_keep_their_characters() -> None:
    (message,) = write_requests([GenerateRequest(a_prompt("Ωmega"), 1, Sampling(1), 0)])["messages"]
    assert json.loads(message)[0]["content"][0]["text"] == "Ωmega"


def strings(*values: str) -> np.ndarray:
    return np.array([value.encode() for value in values], dtype=np.object_)
