"""Where bytes come in. A target reads them and returns, or raises PoisonError; anything else is a finding."""

import io
import json
import struct
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin
from safetensors.numpy import save

from harden import codec, topics
from harden.bus.ports import Incoming
from harden.domain.conversation import Conversation
from harden.serving import prompt_encoder, tensors
from harden.serving.model_files import read_specs
from harden.serving.ports import GenerateRequest, Prompt, Sampling
from tests.support import facts
from tests.support.facts import an_event
from tests.support.wire import sent


@dataclass(frozen=True)
class Target:
    """`samples` are good inputs, from which bad ones are made."""

    samples: Sequence[bytes]
    read: Callable[[bytes], object]


def _messages() -> list[Incoming]:
    found = []
    for _, fact in facts.every_fact():
        message = sent(an_event(fact))
        found.append(Incoming(message.topic, 0, 0, message.key, message.value, message.headers, 0))
    return found


def _codec() -> Target:
    """The value of a message of any topic. The first byte says which message's topic and headers it has."""
    messages = _messages()
    topic_of = {name: topic for topic in topics.CATALOGUE for name in (topic.name, topic.dead)}

    def read(data: bytes) -> object:
        one = messages[(data[0] if data else 0) % len(messages)]
        return codec.from_message(topic_of[one.topic], Incoming(one.topic, 0, 0, one.key, data[1:], one.headers, 0))

    return Target([bytes([n]) + message.value for n, message in enumerate(messages)], read)


def _headers() -> Target:
    """One header, `name=value`, in place of the first header of a message or before all of them."""
    messages = _messages()
    topic_of = {name: topic for topic in topics.CATALOGUE for name in (topic.name, topic.dead)}

    def read(data: bytes) -> object:
        one = messages[len(data) % len(messages)]
        name, _, value = data.partition(b"=")
        headers = ((name.decode(errors="replace"), value), *one.headers[len(data) % 2 :])
        return codec.from_message(topic_of[one.topic], Incoming(one.topic, 0, 0, one.key, one.value, headers, 0))

    return Target([name.encode() + b"=" + value for message in messages for name, value in message.headers], read)


def _tensor(values: Sequence[bytes]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array


def _requests(name: str, *samples: bytes) -> Target:
    """One tensor of a request to Triton, beside a text."""

    def read(data: bytes) -> object:
        given = {name: _tensor([data])}
        return tensors.read_requests(given if name == "messages" else {"text_input": _tensor([b"hello"]), **given})

    return Target(samples, read)


def _pictures() -> list[bytes]:
    picture = Image.new("RGB", (12, 9), (200, 30, 60))
    found = []
    for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP"):
        out = io.BytesIO()
        picture.save(out, kind)
        found.append(out.getvalue())
    note = PngImagePlugin.PngInfo()
    note.add_text("Comment", "x" * 2_000_000, zip=True)
    out = io.BytesIO()
    picture.save(out, "PNG", pnginfo=note)
    return [*found, out.getvalue()]


def _weights() -> Target:
    """A safetensors file, of which the header is read."""
    good = save({"a": np.zeros((2, 3), dtype=np.float32), "b": np.zeros(4, dtype=np.float16)})
    length = struct.unpack("<Q", good[:8])[0]
    odd = json.dumps({"a": {"dtype": "F32", "shape": [1e308, -1], "data_offsets": [0, 1]}}).encode()

    def read(data: bytes) -> object:
        with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
            file.write(data)
            file.flush()
            return read_specs(Path(file.name))

    return Target([good, good[: 8 + length], struct.pack("<Q", len(odd)) + odd], read)


def all_targets() -> Mapping[str, Target]:
    request = GenerateRequest(Prompt(Conversation.of_user("hello"), ()), 2, Sampling(8, temperature=0.5), 3)
    written = tensors.write_requests([request])
    return {
        "codec": _codec(),
        "headers": _headers(),
        "messages": _requests("messages", *map(bytes, written["messages"].reshape(-1))),
        "sampling": _requests("sampling_parameters", *map(bytes, written["sampling_parameters"].reshape(-1))),
        "images": Target(_pictures(), prompt_encoder._decoded),
        "weights": _weights(),
    }
