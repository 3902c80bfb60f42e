"""The policy service in this process: for each slot the same follower, batcher and engine that Triton runs."""

import tempfile
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from harden.domain.completion import Completion
from harden.domain.errors import TransientError
from harden.domain.policy import PolicyRef
from harden.serving.batching import MAX_ROWS, Answer
from harden.serving.follower import Source, SwapObserver
from harden.serving.leases import LeaseTimes
from harden.serving.ports import EngineLoader, GenerateRequest
from harden.serving.slots import BatchLimits, ServedSlot, completions

REPLICA = "in-process"


class InProcessPolicies:
    """Implements PolicyClient. A context manager, or `close` it.

    With a `work_dir` the last policies accepted answer again after a restart; without one nothing is kept.
    """

    def __init__(
        self,
        slots: Sequence[str],
        source: Source,
        loader: EngineLoader,
        *,
        replica: str = REPLICA,
        max_rows: int = MAX_ROWS,
        gather_s: float = 0.0,
        times: LeaseTimes | None = None,
        work_dir: Path | None = None,
        observer: SwapObserver | None = None,
    ) -> None:
        self._failure: BaseException | None = None
        self._scratch = None if work_dir else tempfile.TemporaryDirectory(prefix="harden-policies-")
        root = Path(self._scratch.name) if self._scratch else work_dir
        assert root is not None
        self._slots = {
            slot: ServedSlot.open(
                slot,
                source,
                loader,
                BatchLimits(max_rows, gather_s),
                replica=replica,
                work_dir=root / slot,
                times=times,
                observer=observer,
                on_failure=self._failed,
            )
            for slot in slots
        }

    def generate(self, slot: str, requests: Sequence[GenerateRequest]) -> list[list[Completion]]:
        return completions(self._slot(slot).batcher.submit(requests).result())

    def generate_together(
        self, slot: str, calls: Sequence[Sequence[GenerateRequest]]
    ) -> list[list[list[Completion]] | Exception]:
        """What `generate` returns or raises for each of the calls, computed as if they had arrived at one moment.

        Raises TransientError where the slot is not served.
        """
        answers = self._slot(slot).batcher.submit_together(calls)
        return [_outcome(answer) for answer in answers]

    def served(self, slot: str) -> PolicyRef | None:
        return self._slot(slot).served

    def raise_failure(self) -> None:
        """RuntimeError where the follower of a slot has ended by a bug: the slot serves nothing newer from then on."""
        if self._failure is not None:
            raise RuntimeError(f"the follower of a slot has failed: {self._failure}") from self._failure

    def close(self) -> None:
        for slot in self._slots.values():
            slot.close()
        if self._scratch is not None:
            self._scratch.cleanup()

    def __enter__(self) -> "InProcessPolicies":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _slot(self, slot: str) -> ServedSlot:
        self.raise_failure()
        if slot not in self._slots:
            raise TransientError(f"slot {slot} is not served here; served are {', '.join(self._slots)}")
        return self._slots[slot]

    def _failed(self, error: BaseException) -> None:
        self._failure = error


def _outcome(answer: "Future[Answer]") -> list[list[Completion]] | Exception:
    try:
        return completions(answer.result())
    except Exception as error:
        return error
