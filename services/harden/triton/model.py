"""The policy model: what Triton's Python backend runs for every slot.

reads      harden.policies.v1   PolicyPublished               of its slot, the newest
writes     harden.served.v1     PolicyServed, PolicyRefused   key slot/replica
asks       the store for manifests and weights
slowed by  the engine: requests wait in memory and are computed together
survives   bad weights (the old policy goes on), a store or broker that is away (what is served stays)

Triton calls a model ready from the end of `initialize` until it is unloaded, and its Python backend has no way to say
otherwise. Whether a slot serves what is published stands in the gauge harden_policy_is_current instead, and in its leases.
"""

import json
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import structlog
import triton_python_backend_utils as pb_utils

from harden.bus.kafka import KafkaBus
from harden.domain.completion import Completion
from harden.domain.errors import PoisonError, SetupError, TransientError
from harden.runtime import logs
from harden.serving import tensors
from harden.serving.batching import Answer
from harden.serving.follower import Source
from harden.serving.leases import LeaseTimes
from harden.serving.ports import EngineLoader
from harden.serving.slots import BatchLimits, ServedSlot, completions
from harden.serving.streaming import Stream
from harden.serving.tensors import Wanted
from harden.serving.transformers_loader import TransformersLoader
from harden.store.object_store import ObjectStore
from harden.store.signing import Verifier
from harden.triton.config import TritonConfig, TritonSettings
from harden.triton.metrics import SlotMetrics

# When the process ends because of a bug, Triton answers every caller with an error and restarts the model.
EXIT_BUG = 70

_log = structlog.get_logger()


class TritonPythonModel:
    """One slot. Triton calls `initialize`, then `execute` from one thread, then `finalize`."""

    def initialize(self, args: dict[str, str]) -> None:
        slot: str = json.loads(args["model_config"])["parameters"]["slot"]["string_value"]
        try:
            config = TritonConfig()
            logs.start(config.log, f"triton-{slot}")
            self._bus = KafkaBus(config.kafka)
            verifier = Verifier(config.keys.verify_key_files)
            source = Source(self._bus, ObjectStore(config.store.uri), verifier)
        except SetupError as error:
            raise pb_utils.TritonModelException(str(error)) from error
        settings = config.triton
        self._metrics = SlotMetrics(slot)
        self._answers = ThreadPoolExecutor(1, thread_name_prefix="answers")
        self._slot = ServedSlot.open(
            slot,
            source,
            loader_of(settings),
            BatchLimits(settings.max_rows, settings.gather_ms / 1000),
            replica=settings.replica,
            work_dir=settings.work_dir / slot,
            times=LeaseTimes(settings.renew_s, settings.hold_s, settings.swap_s),
            observer=self._metrics,
            on_batch=self._computed,
            on_failure=_end,
        )

    def execute(self, requests: list[Any]) -> None:
        """Takes the requests and returns: what arrives while others are computed joins the next batch."""
        for request in requests:
            self._take(request.get_response_sender(), request.inputs())

    def finalize(self) -> None:
        self._slot.close()
        self._answers.shutdown()
        self._bus.close()

    def _take(self, sender: Any, inputs: list[Any]) -> None:
        try:
            requests, wanted = tensors.read_requests({tensor.name(): tensor.as_numpy() for tensor in inputs})
            if not requests:
                _send(sender, tensors.write_answer([], self._slot.served, wanted), is_last=True)
                return
            stream = Stream(lambda new: _send(sender, _tensors_of(new, wanted), is_last=False)) if wanted.stream else None
            answer = self._slot.batcher.submit(requests, on_token=stream)
        except (PoisonError, TransientError) as error:
            self._fail(sender, error)
            return
        # Not on the batcher's thread, which goes on with the next batch meanwhile.
        answer.add_done_callback(lambda done: self._answers.submit(self._answer, sender, wanted, stream, done) and None)

    def _answer(self, sender: Any, wanted: Wanted, stream: Stream | None, future: "Future[Answer]") -> None:
        error = future.exception()
        if error is not None:
            self._fail(sender, error)
            return
        answer = future.result()
        if stream is None:
            _send(sender, _tensors_of(answer, wanted), is_last=True)
        else:
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        num_tokens = sum(len(sample.token_ids) for samples in answer.samples for sample in samples)
        self._metrics.answered(answer.policy, num_tokens)

    def _fail(self, sender: Any, error: BaseException) -> None:
        self._metrics.failed()
        if isinstance(error, PoisonError):
            code = pb_utils.TritonError.INVALID_ARG
        elif isinstance(error, TransientError):
            code = pb_utils.TritonError.UNAVAILABLE
        else:
            code = pb_utils.TritonError.INTERNAL
            _log.error("request_failed", error=type(error).__name__, exc_info=error)
        response = pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), code))
        sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def _computed(self, num_rows: int, seconds: float) -> None:
        self._metrics.computed(num_rows, self._slot.batcher.num_waiting)


def loader_of(settings: TritonSettings) -> EngineLoader:
    match settings.engine:
        case "transformers":
            return TransformersLoader(settings.device, settings.num_threads)


def _tensors_of(answer: Answer, wanted: Wanted) -> dict[str, Any]:
    whole: list[list[Completion]] = completions(answer)
    return tensors.write_answer(whole, answer.policy, wanted)


def _send(sender: Any, outputs: dict[str, Any], *, is_last: bool) -> None:
    response = pb_utils.InferenceResponse([pb_utils.Tensor(name, value) for name, value in outputs.items()])
    sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL if is_last else 0)


def _end(error: BaseException) -> None:
    """A follower that has failed would leave an old policy in service silently."""
    _log.critical("model_ends", error=type(error).__name__, thread=threading.current_thread().name)
    os._exit(EXIT_BUG)
