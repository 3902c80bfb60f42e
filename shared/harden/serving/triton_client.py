"""The policy service behind Triton's gRPC port. The only place that knows the protocol."""

from collections.abc import Iterator, Sequence
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import (
    deserialize_bytes_tensor,
    np_to_triton_dtype,
    serialize_byte_tensor,
    triton_to_np_dtype,
)

from harden.domain.completion import Completion
from harden.domain.errors import PoisonError, TransientError
from harden.domain.policy import PolicyRef
from harden.serving import tensors
from harden.serving.ports import GenerateRequest

# A long queue of long answers; whoever waits longer is better off asking again.
TIMEOUT_S = 120.0
# As much as Triton itself allows.
MAX_MESSAGE_BYTES = 2**31 - 1
KEEPALIVE_MS = 30_000
# Without it an error of the model arrives as text without a code.
_METADATA = (("triton_grpc_error", "true"),)
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
)


class TritonPolicies:
    """Implements PolicyClient. `url` is `host:port` of the gRPC port. One channel, used by any number of threads.

    Does not retry: whoever asks counts failures and decides how long to go on.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._channel = grpc.insecure_channel(url, options=_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def generate(self, slot: str, requests: Sequence[GenerateRequest]) -> list[list[Completion]]:
        """Raises PoisonError("refused_request") where the model says that the request itself is wrong."""
        if not requests:
            return []
        return tensors.read_answer(self._infer(slot, tensors.write_requests(requests)), requests)

    def served(self, slot: str) -> PolicyRef | None:
        return tensors.read_policy(self._infer(slot, tensors.write_requests([])), slot)

    def is_ready(self) -> bool:
        """Whether the server answers and every model it was told to load is loaded."""
        try:
            return bool(self._stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=self._timeout_s).ready)
        except grpc.RpcError:
            return False

    def server_version(self) -> str:
        try:
            return str(self._stub.ServerMetadata(service_pb2.ServerMetadataRequest(), timeout=self._timeout_s).version)
        except grpc.RpcError as error:
            raise TransientError(f"Triton at {self._url} did not say its version: {_detail(error)}") from error

    def close(self) -> None:
        self._channel.close()

    def _infer(self, slot: str, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One request, one answer. Decoupled models are reached through a stream; this one has one request in it."""
        try:
            responses = self._stub.ModelStreamInfer(iter([_request(slot, inputs)]), timeout=self._timeout_s, metadata=_METADATA)
            answers = [answer for answer in map(self._read, responses) if answer]
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                raise PoisonError("refused_request", f"slot {slot}: {_detail(error)}") from error
            detail = f"slot {slot} of Triton at {self._url} did not answer ({error.code().name}): {_detail(error)}"
            raise TransientError(detail) from error
        if len(answers) != 1:
            raise TransientError(f"slot {slot} of Triton at {self._url} ended the stream with {len(answers)} answers")
        return answers[0]

    def _read(self, message: Any) -> dict[str, NDArray[Any]]:
        if message.error_message:
            raise TransientError(f"Triton at {self._url}: {message.error_message}")
        return dict(_outputs(message.infer_response))


def _request(slot: str, inputs: dict[str, NDArray[Any]]) -> Any:
    request = service_pb2.ModelInferRequest(model_name=slot)
    for name, value in inputs.items():
        request.inputs.add(name=name, datatype=np_to_triton_dtype(value.dtype), shape=value.shape)
        is_bytes = value.dtype == np.object_
        raw = serialize_byte_tensor(value) if is_bytes else value
        request.raw_input_contents.append(_flat(raw) if is_bytes else raw.tobytes())
    return request


def _flat(serialized: NDArray[Any]) -> bytes:
    return serialized.item() if serialized.size else b""


def _outputs(response: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        if output.datatype == "BYTES":
            yield output.name, deserialize_bytes_tensor(raw)
        else:
            yield output.name, np.frombuffer(raw, dtype=triton_to_np_dtype(output.datatype))


def _detail(error: Any) -> str:
    return error.details() or error.code().name
