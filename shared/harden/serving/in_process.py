"""The policy service in this process: for each slot the same follower, batcher and engine that Triton runs."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from harden.domain.completion import Completion
from harden.domain.errors import TransientError
from harden.domain.policy import PolicyRef
from harden.serving.batching import MAX_ROWS
from harden.serving.follower import Source
from harden.serving.leases import LeaseTimes
from harden.serving.ports import EngineLoader, GenerateRequest
from harden.serving.slots import BatchLimits, ServedSlot, completions

REPLICA = "in-process"


class InProcessPolicies:
    """Implements PolicyClient. A context manager, or `close` it."""

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
    ) -> None:
        self._failure: BaseException | None = None
        self._work_dir = tempfile.TemporaryDirectory(prefix="harden-policies-")
        self._slots = {
            slot: ServedSlot.open(
                slot,
                source,
                loader,
                BatchLimits(max_rows, gather_s),
                replica=replica,
                work_dir=Path(self._work_dir.name) / slot,
                times=times,
                on_failure=self._failed,
            )
            for slot in slots
        }

    def generate(self, slot: str, requests: Sequence[GenerateRequest]) -> list[list[Completion]]:
        return completions(self._slot(slot).batcher.submit(requests).result())

    def served(self, slot: str) -> PolicyRef | None:
        return self._slot(slot).served

    def close(self) -> None:
        for slot in self._slots.values():
            slot.close()
        self._work_dir.cleanup()

    def __enter__(self) -> "InProcessPolicies":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _slot(self, slot: str) -> ServedSlot:
        if self._failure is not None:
            raise RuntimeError(f"the follower of a slot has failed: {self._failure}") from self._failure
        if slot not in self._slots:
            raise TransientError(f"slot {slot} is not served here; served are {', '.join(self._slots)}")
        return self._slots[slot]

    def _failed(self, error: BaseException) -> None:
        self._failure = error
