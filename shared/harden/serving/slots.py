"""One slot, ready to be asked: a batcher and the follower that keeps it on the newest policy."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harden.domain.completion import Completion
from harden.domain.policy import PolicyRef
from harden.serving.batching import Answer, Batcher
from harden.serving.follower import Follower, Source, SwapObserver
from harden.serving.leases import LeaseTimes
from harden.serving.ports import EngineLoader


@dataclass(frozen=True)
class BatchLimits:
    max_rows: int
    gather_s: float


@dataclass(frozen=True)
class ServedSlot:
    slot: str
    batcher: Batcher
    follower: Follower

    @classmethod
    def open(
        cls,
        slot: str,
        source: Source,
        loader: EngineLoader,
        limits: BatchLimits,
        *,
        replica: str,
        work_dir: Path,
        times: LeaseTimes | None = None,
        observer: SwapObserver | None = None,
        on_batch: Callable[[int, float], None] = lambda num_rows, seconds: None,
        on_failure: Callable[[BaseException], None] = lambda error: None,
    ) -> "ServedSlot":
        """Begins to follow. Asking raises TransientError until a policy has come."""
        batcher = Batcher(slot, max_rows=limits.max_rows, gather_s=limits.gather_s, on_batch=on_batch)
        follower = Follower(
            slot,
            source,
            loader,
            batcher,
            replica=replica,
            work_dir=work_dir,
            times=times,
            observer=observer,
            on_failure=on_failure,
        )
        follower.start()
        return cls(slot, batcher, follower)

    @property
    def served(self) -> PolicyRef | None:
        serving = self.batcher.serving
        return serving.policy if serving else None

    def close(self) -> None:
        self.follower.close()
        self.batcher.close()


def completions(answer: Answer) -> list[list[Completion]]:
    return [
        [
            Completion(
                text=sample.text,
                token_ids=sample.token_ids,
                logprobs=sample.logprobs,
                finish_reason=sample.finish_reason,
                policy_digest=answer.policy.digest,
                policy_version=answer.policy.version,
            )
            for sample in samples
        ]
        for samples in answer.samples
    ]
