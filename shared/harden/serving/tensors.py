"""Requests and answers as named tensors: what crosses the wire to Triton. Client and model both read this file.

Names are those of Triton's vLLM backend; what that lacks is ours: `messages`, `return_token_ids`, `token_ids`,
`token_logprobs`, `policy_digest`, `policy_version`. One inference request carries several prompts.

    P prompts, I images of all of them in order, R rows (samples of all prompts in order), S tokens of all rows in order
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from harden.domain import ids
from harden.domain.completion import Completion, FinishReason, Sampling
from harden.domain.conversation import BlobRef, Conversation, Image, Message, Part, Speaker, Text
from harden.domain.errors import PoisonError
from harden.domain.policy import PolicyRef
from harden.serving.ports import GenerateRequest, Prompt

Tensors = Mapping[str, NDArray[Any]]
V = TypeVar("V")

UNREADABLE = "unreadable_request"
DEFAULT_MAX_TOKENS = 16  # as in vLLM
# Answers to one prompt: more than any algorithm here samples, and few enough that one request cannot fill the memory.
MAX_SAMPLES = 1024
_IMAGE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM")


@dataclass(frozen=True)
class Wanted:
    """What a caller asked to be told, and how."""

    stream: bool = False
    finish_reason: bool = False
    cumulative_logprob: bool = False
    num_output_tokens: bool = False
    token_ids: bool = False
    # Put before every answer: callers of `text_input` get their prompt back unless they say otherwise, as from vLLM.
    echo: tuple[str, ...] = ()


def write_requests(requests: Sequence[GenerateRequest]) -> dict[str, NDArray[Any]]:
    """Everything the model needs to give whole completions back."""
    images = [image for request in requests for image in request.prompt.images]
    tensors: dict[str, NDArray[Any]] = {
        "messages": _bytes([_write_conversation(request.prompt.conversation) for request in requests]),
        "sampling_parameters": _bytes([_write_sampling(request) for request in requests]),
        "return_finish_reason": np.array([True]),
        "return_num_output_tokens": np.array([True]),
        "return_token_ids": np.array([True]),
    }
    return tensors | ({"image": _bytes(images)} if images else {})


def read_requests(tensors: Tensors) -> tuple[list[GenerateRequest], Wanted]:
    """No request at all asks which policy is served. PoisonError("unreadable_request") names the tensor that is wrong."""
    texts = _texts(tensors, "text_input")
    messages = _texts(tensors, "messages")
    if texts and messages:
        raise PoisonError(UNREADABLE, "give text_input or messages, not both")
    images = iter([_image(data) for data in _raw(tensors, "image")])
    if messages:
        prompts = [_read_conversation(text, images) for text in messages]
    else:
        # Images of a plain text go before the first one, where a single-turn model expects them.
        prompts = [_user_turn(text, list(images) if i == 0 else []) for i, text in enumerate(texts)]
    if next(images, None) is not None:
        raise PoisonError(UNREADABLE, "image holds more images than messages mention")
    samplings = _texts(tensors, "sampling_parameters") or ["{}"]
    if len(samplings) not in (1, len(prompts)) and prompts:
        raise PoisonError(UNREADABLE, f"sampling_parameters has {len(samplings)} elements for {len(prompts)} prompts")
    if len(samplings) == 1:
        samplings = samplings * len(prompts)
    requests = [_read_sampling(prompt, text) for prompt, text in zip(prompts, samplings, strict=False)]
    wanted = Wanted(
        stream=_flag(tensors, "stream"),
        finish_reason=_flag(tensors, "return_finish_reason"),
        cumulative_logprob=_flag(tensors, "return_cumulative_logprob"),
        num_output_tokens=_flag(tensors, "return_num_output_tokens"),
        token_ids=_flag(tensors, "return_token_ids"),
        echo=() if messages or _flag(tensors, "exclude_input_in_output") else tuple(texts),
    )
    if wanted.stream and len(requests) != 1:
        raise PoisonError(UNREADABLE, f"stream takes one prompt, not {len(requests)}")
    return requests, wanted


def write_answer(
    completions: Sequence[Sequence[Completion]], policy: PolicyRef | None, wanted: Wanted
) -> dict[str, NDArray[Any]]:
    rows = [completion for of_prompt in completions for completion in of_prompt]
    echoes = [echo for echo, of_prompt in zip(wanted.echo, completions, strict=True) for _ in of_prompt] if wanted.echo else []
    texts = [before + row.text for before, row in zip(echoes or [""] * len(rows), rows, strict=True)]
    tensors: dict[str, NDArray[Any]] = {
        "text_output": _bytes([text.encode() for text in texts]),
        "policy_digest": _bytes([policy.digest.encode() if policy else b""]),
        "policy_version": np.array([policy.version if policy else -1], dtype=np.int64),
    }
    if wanted.finish_reason:
        tensors["finish_reason"] = _bytes([row.finish_reason.encode() for row in rows])
    if wanted.cumulative_logprob:
        tensors["cumulative_logprob"] = np.array([sum(row.logprobs) for row in rows], dtype=np.float32)
    if wanted.num_output_tokens:
        tensors["num_output_tokens"] = np.array([len(row.token_ids) for row in rows], dtype=np.uint32)
    if wanted.token_ids:
        tensors["token_ids"] = np.array([i for row in rows for i in row.token_ids], dtype=np.int32)
        tensors["token_logprobs"] = np.array([p for row in rows for p in row.logprobs], dtype=np.float32)
    return tensors


def read_answer(tensors: Tensors, requests: Sequence[GenerateRequest]) -> list[list[Completion]]:
    """What `write_answer` wrote for these requests, everything wanted. Floats come back as the engine's own float32."""
    digest, version = tensors["policy_digest"][0].decode(), int(tensors["policy_version"][0])
    token_ids, logprobs = tensors["token_ids"].tolist(), tensors["token_logprobs"].tolist()
    rows: list[Completion] = []
    begin = 0
    columns = tensors["text_output"], tensors["finish_reason"], tensors["num_output_tokens"].tolist()
    for text, reason, length in zip(*columns, strict=True):
        end = begin + length
        rows.append(
            Completion(
                text=text.decode(),
                token_ids=tuple(token_ids[begin:end]),
                logprobs=tuple(logprobs[begin:end]),
                finish_reason=FinishReason(reason.decode()),
                policy_digest=digest,
                policy_version=version,
            )
        )
        begin = end
    rest = iter(rows)
    return [[next(rest) for _ in range(request.num_samples)] for request in requests]


def read_policy(tensors: Tensors, slot: str) -> PolicyRef | None:
    digest = tensors["policy_digest"][0].decode()
    return PolicyRef(slot, int(tensors["policy_version"][0]), digest) if digest else None


def _write_conversation(conversation: Conversation) -> bytes:
    messages = [
        {
            "role": message.speaker.value,
            "content": [
                {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"} for part in message.parts
            ],
        }
        for message in conversation.messages
    ]
    return json.dumps(messages, ensure_ascii=False).encode()


def _read_conversation(text: str, images: Iterator[bytes]) -> Prompt:
    """Every image part takes the next image."""
    used: list[bytes] = []
    try:
        messages = tuple(
            Message(Speaker(message["role"]), tuple(_read_parts(message["content"], images, used)))
            for message in json.loads(text)
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        detail = f"messages is not a JSON list of {{role, content}}: {type(error).__name__}"
        raise PoisonError(UNREADABLE, detail) from error
    if not messages:
        raise PoisonError(UNREADABLE, "messages has a conversation without messages")
    return Prompt(Conversation(messages), tuple(used))


def _read_parts(content: Any, images: Iterator[bytes], used: list[bytes]) -> Iterator[Part]:
    if isinstance(content, str):
        yield Text(content)
        return
    for part in content:
        if part["type"] == "text":
            yield Text(str(part["text"]))
        elif part["type"] == "image":
            data = next(images, None)
            if data is None:
                raise PoisonError(UNREADABLE, "messages mention more images than the tensor image holds")
            used.append(data)
            yield _image_part(data)
        else:
            raise ValueError(part["type"])


def _user_turn(text: str, images: list[bytes]) -> Prompt:
    parts: tuple[Part, ...] = (*map(_image_part, images), Text(text))
    return Prompt(Conversation((Message(Speaker.USER, parts),)), tuple(images))


def _image_part(data: bytes) -> Image:
    digest = ids.digest_of(data)
    return Image(BlobRef(f"request:{digest}", digest, len(data)))


def _image(data: bytes) -> bytes:
    """Encoded bytes as they are, or in base64 as callers of the vLLM backend send them."""
    if data.startswith(_IMAGE_STARTS):
        return data
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise PoisonError(UNREADABLE, "image holds neither an encoded image nor base64") from error


def _write_sampling(request: GenerateRequest) -> bytes:
    sampling = request.sampling
    parameters = {
        "n": request.num_samples,
        "seed": request.random_seed,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
    }
    return json.dumps(parameters).encode()


def _read_sampling(prompt: Prompt, text: str) -> GenerateRequest:
    try:
        parameters = json.loads(text)
        unknown = sorted(set(parameters) - {"n", "seed", "max_tokens", "temperature"})
        if unknown:
            raise PoisonError(UNREADABLE, f"sampling_parameters knows n, seed, max_tokens and temperature, not {unknown}")
        num_samples, seed = int(parameters.get("n", 1)), int(parameters.get("seed", 0))
        max_tokens = int(parameters.get("max_tokens", DEFAULT_MAX_TOKENS))
        sampling = Sampling(max_tokens, float(parameters.get("temperature", 1.0)))
        if not 1 <= num_samples <= MAX_SAMPLES or not 0 <= seed < 2**64:
            raise ValueError(f"n is between 1 and {MAX_SAMPLES} and seed between 0 and 2^64, not {num_samples} and {seed}")
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise PoisonError(UNREADABLE, f"sampling_parameters: {error}") from error
    return GenerateRequest(prompt, num_samples, sampling, seed)


def _bytes(values: Sequence[bytes]) -> NDArray[Any]:
    array = np.empty(len(values), dtype=np.object_)
    array[:] = values
    return array


def _raw(tensors: Tensors, name: str) -> list[bytes]:
    value = tensors.get(name)
    return [] if value is None else [bytes(element) for element in value.reshape(-1)]


def _texts(tensors: Tensors, name: str) -> list[str]:
    try:
        return [data.decode() for data in _raw(tensors, name)]
    except UnicodeDecodeError as error:
        raise PoisonError(UNREADABLE, f"{name} is not UTF-8") from error


def _flag(tensors: Tensors, name: str) -> bool:
    value = tensors.get(name)
    return value is not None and bool(value.reshape(-1)[:1].any())
