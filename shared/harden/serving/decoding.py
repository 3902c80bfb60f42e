"""The book of one batch: which rows are still going, what each has said, and which random number comes next.

R rows at the start (one per sample), B rows still in the batch, V vocabulary
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from harden.domain.completion import FinishReason
from harden.serving import sampling
from harden.serving.ports import GenerateRequest, Sample
from harden.serving.prompt_encoder import PromptEncoder

# Random numbers are made for this many tokens at a time.
UNIFORM_BLOCK = 64


@dataclass(frozen=True)
class Move:
    """The first `num_rows` rows stay, after row `source[i]` has moved to `to[i]`."""

    num_rows: int
    to: torch.Tensor
    source: torch.Tensor

    def apply(self, per_row: torch.Tensor) -> torch.Tensor:
        per_row[self.to] = per_row[self.source]
        return per_row[: self.num_rows]


class Decoding:
    """`advance` takes the logits of the rows still in the batch; `keep` says which of them go on."""

    def __init__(
        self, requests: Sequence[GenerateRequest], eos_ids: Sequence[int], penalty_V: torch.Tensor | None, device: torch.device
    ) -> None:
        per_row = [(request, n) for request in requests for n in range(request.num_samples)]
        self.num_samples = [request.num_samples for request in requests]
        self._eos_ids = np.array(sorted(eos_ids), dtype=np.int64)
        self._penalty_V = penalty_V
        self._device = device
        self._seeds_R = np.array([request.random_seed for request, _ in per_row], dtype=np.uint64)
        self._samples_R = np.array([n for _, n in per_row], dtype=np.uint64)
        self._limits_R = np.array([request.sampling.max_tokens for request, _ in per_row], dtype=np.int64)
        self._temperatures_R = np.array([request.sampling.temperature for request, _ in per_row], dtype=np.float32)
        num_rows = len(per_row)
        self._lengths_R = np.zeros(num_rows, dtype=np.int64)
        self._stopped_R = np.zeros(num_rows, dtype=bool)
        self._steps: list[tuple[np.ndarray, np.ndarray, torch.Tensor]] = []
        self._rows_B = np.arange(num_rows)
        self._going_B = np.ones(num_rows, dtype=bool)
        self._uniforms_BT = np.zeros((num_rows, 0))
        self._enter_rows()

    def _enter_rows(self) -> None:
        """What follows from which rows are in the batch."""
        temperatures_B = self._temperatures_R[self._rows_B]
        greedy_B = temperatures_B == 0
        # A greedy token is reported with its log-prob at temperature 1: at 0 every one would be certain.
        divisors_B = np.where(greedy_B, np.float32(1), temperatures_B)
        self._divisor_B1 = None if (divisors_B == 1).all() else torch.from_numpy(divisors_B)[:, None].to(self._device)
        self._greedy_B = torch.from_numpy(greedy_B).to(self._device) if greedy_B.any() else None

    def advance(self, logits_BV: torch.Tensor) -> torch.Tensor:
        """Draws the next token of every row and notes who ended with it."""
        t = len(self._steps)
        if t % UNIFORM_BLOCK == 0:
            seeds_B, samples_B = self._seeds_R[self._rows_B], self._samples_R[self._rows_B]
            self._uniforms_BT = sampling.uniforms(seeds_B, samples_B, t, UNIFORM_BLOCK)
        uniform_B = torch.from_numpy(self._uniforms_BT[:, t % UNIFORM_BLOCK]).to(self._device)
        log_probs_BV = sampling.log_distribution(logits_BV, self._divisor_B1, self._penalty_V)
        tokens_B = sampling.draw(log_probs_BV, uniform_B, self._greedy_B)
        chosen_B = log_probs_BV.gather(1, tokens_B[:, None])[:, 0]
        # A copy: rows are moved in place afterwards, on a CPU in this very memory.
        numbers_B = np.array(tokens_B.cpu())
        self._steps.append((self._rows_B.copy(), numbers_B, chosen_B))
        stopped_B = np.isin(numbers_B, self._eos_ids) & self._going_B
        ended_B = (stopped_B | (self._limits_R[self._rows_B] == t + 1)) & self._going_B
        self._stopped_R[self._rows_B[stopped_B]] = True
        self._lengths_R[self._rows_B[ended_B]] = t + 1
        self._going_B &= ~ended_B
        return tokens_B

    def keep(self) -> "Move | None":
        """How the rows that go on close up; None means all of them do."""
        num_going = int(self._going_B.sum())
        if num_going == len(self._going_B):
            return None
        # Rows from the end fill the holes: as many copies as rows ended, not as rows go on.
        to = np.flatnonzero(~self._going_B[:num_going])
        source = num_going + np.flatnonzero(self._going_B[num_going:])
        for per_row in (self._rows_B, self._uniforms_BT):
            per_row[to] = per_row[source]
        self._rows_B, self._uniforms_BT = self._rows_B[:num_going], self._uniforms_BT[:num_going]
        self._going_B = np.ones(num_going, dtype=bool)
        self._enter_rows()
        return Move(num_going, torch.from_numpy(to).to(self._device), torch.from_numpy(source).to(self._device))

    def samples(self, encoder: PromptEncoder) -> list[list[Sample]]:
        """What every row has said so far, request by request."""
        tokens_RT = np.zeros((len(self._lengths_R), len(self._steps)), dtype=np.int64)
        logprobs_RT = np.zeros(tokens_RT.shape, dtype=np.float32)
        for t, (rows_B, numbers_B, chosen_B) in enumerate(self._steps):
            tokens_RT[rows_B, t] = numbers_B
            logprobs_RT[rows_B, t] = chosen_B.cpu().numpy()
        lengths = [int(n) or len(self._steps) for n in self._lengths_R]
        token_ids = [tuple(ids[:n]) for ids, n in zip(tokens_RT.tolist(), lengths, strict=True)]
        logprobs = [tuple(values[:n]) for values, n in zip(logprobs_RT.tolist(), lengths, strict=True)]
        reasons = [FinishReason.STOP if stopped else FinishReason.LENGTH for stopped in self._stopped_R]
        rows = iter(map(Sample, encoder.decode(token_ids), token_ids, logprobs, reasons))
        return [[next(rows) for _ in range(count)] for count in self.num_samples]
