"""What a caller meets who speaks to Triton directly, with the names of its vLLM backend."""

import json
import queue
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from harden.domain.completion import Sampling
from harden.domain.policy import PolicyRef, Slot
from harden.serving.ports import GenerateRequest
from harden.serving.transformers_engine import TransformersEngine
from harden.serving.transformers_loader import TransformersLoader
from tests.support.policies import a_probe
from tests.support.tiny_models import a_png, a_prompt, an_image_text_model
from tests.support.triton import TritonSite

pytestmark = [pytest.mark.kafka, pytest.mark.triton]
ANSWER_TIMEOUT_S = 60


@pytest.fixture(scope="module")
def served(triton_site: TritonSite, tmp_path_factory: pytest.TempPathFactory) -> tuple[PolicyRef, TransformersEngine]:
    directory = an_image_text_model(tmp_path_factory.mktemp("model"), num_layers=2, hidden=64)
    policy = triton_site.publishing.publish(Slot.DEFENDER, directory, a_probe(directory))
    triton_site.publishing.verdict_on(policy)
    return policy, TransformersLoader().load(directory)


def ask(site: TritonSite, **tensors: Any) -> Iterator[dict[str, Any]]:
    """The answers of one request, in the order they come, until the last."""
    inputs = []
    for name, value in tensors.items():
        array = np.array([value] if np.isscalar(value) else value, dtype=np.bool_ if isinstance(value, bool) else np.object_)
        tensor = triton.InferInput(name, list(array.shape), "BOOL" if isinstance(value, bool) else "BYTES")
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    with triton.InferenceServerClient(site.server.grpc_url) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer("defender", inputs, enable_empty_final_response=True)
        while True:
            result, error = answers.get(timeout=ANSWER_TIMEOUT_S)
            if error is not None:
                raise error
            response = result.get_response()
            if response.outputs:
                yield {output.name: result.as_numpy(output.name).tolist() for output in response.outputs}
            if response.parameters["triton_final_response"].bool_param:
                return


def test_a_plain_text_is_answered_as_the_vllm_backend_would(
    triton_site: TritonSite, served: tuple[PolicyRef, TransformersEngine]
) -> None:
    policy, engine = served
    (samples,) = engine.generate([GenerateRequest(a_prompt("w1 w2"), 2, Sampling(6), 9)])
    (answer,) = ask(
        triton_site,
        text_input=b"w1 w2",
        sampling_parameters=json.dumps({"n": 2, "max_tokens": 6, "seed": 9}).encode(),
        exclude_input_in_output=True,
        return_finish_reason=True,
        return_cumulative_logprob=True,
        return_num_output_tokens=True,
    )
    assert answer["text_output"] == [sample.text.encode() for sample in samples]
    assert answer["finish_reason"] == [sample.finish_reason.encode() for sample in samples]
    assert answer["cumulative_logprob"] == pytest.approx([sum(sample.logprobs) for sample in samples], abs=1e-3)
    assert answer["num_output_tokens"] == [len(sample.token_ids) for sample in samples]
    assert answer["policy_digest"] == [policy.digest.encode()]
    assert answer["policy_version"] == [policy.version]
    assert "token_ids" not in answer


def test_the_prompt_comes_back_unless_it_is_excluded(
    triton_site: TritonSite, served: tuple[PolicyRef, TransformersEngine]
) -> None:
    (answer,) = ask(triton_site, text_input=b"w1 w2", sampling_parameters=b'{"max_tokens": 2}')
    assert answer["text_output"][0].startswith(b"w1 w2")


def test_a_stream_brings_every_token_when_it_is_there(
    triton_site: TritonSite, served: tuple[PolicyRef, TransformersEngine]
) -> None:
    _, engine = served
    ((sample,),) = engine.generate([GenerateRequest(a_prompt("w1 w2", images=(a_png(1),)), 1, Sampling(7), 3)])
    pieces = list(
        ask(
            triton_site,
            messages=json.dumps([{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "w1 w2"}]}]).encode(),
            image=a_png(1),
            sampling_parameters=b'{"max_tokens": 7, "seed": 3}',
            stream=True,
            return_token_ids=True,
        )
    )
    assert len(pieces) == len(sample.token_ids)
    assert [token for piece in pieces for token in piece["token_ids"]] == list(sample.token_ids)
    assert b"".join(piece["text_output"][0] for piece in pieces) == sample.text.encode()


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"text_input": b"w1", "sampling_parameters": b"{not json"}, "sampling_parameters"),
        ({"text_input": b"w1", "sampling_parameters": b'{"max_tokens": 0}'}, "max_tokens"),
        ({"text_input": b"w1", "sampling_parameters": b'{"top_p": 0.5}'}, "top_p"),
        ({"messages": b'{"role": "user"}'}, "messages"),
        ({"messages": b'[{"role": "user", "content": [{"type": "image"}]}]'}, "more images than"),
        ({"text_input": b"w1", "image": b"!"}, "image"),
    ],
)
def test_a_request_that_makes_no_sense_is_told_what_is_wrong(
    triton_site: TritonSite, served: tuple[PolicyRef, TransformersEngine], tensors: dict[str, bytes], message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message):
        list(ask(triton_site, **tensors))
