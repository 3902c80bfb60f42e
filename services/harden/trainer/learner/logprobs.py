"""From hidden states to the log-probs of chosen tokens, without all logits of a large vocabulary in memory at once.

Shapes: U predicting positions, N chosen tokens (each predicted by one of the U), H hidden, V vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# Logits of some of the U positions.
Head = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Predictions:
    """`entropy_N` is of the whole distribution the token was drawn from, without a gradient; None where not asked for."""

    logprobs_N: Tensor
    entropy_N: Tensor | None


@dataclass(frozen=True, slots=True)
class Choice:
    """Tokens to score and their distribution: temperature applied, banned tokens impossible."""

    temperature_U: Tensor
    ban_V: Tensor  # 0, or the lowest number where a token is banned
    predictor_of_N: Tensor
    targets_N: Tensor

    def within(self, first: int, end: int) -> tuple["Choice", Tensor]:
        """The part of positions `first` to `end`, and which of the N it has."""
        chosen = ((self.predictor_of_N >= first) & (self.predictor_of_N < end)).nonzero().squeeze(-1)
        part = Choice(self.temperature_U[first:end], self.ban_V, self.predictor_of_N[chosen] - first, self.targets_N[chosen])
        return part, chosen


def chosen_logprobs(hidden_UH: Tensor, head: Head, choice: Choice, *, max_logits: int, entropy: bool) -> Predictions:
    """Log-probs of the chosen tokens. More than `max_logits` logits are computed in chunks and again in the backward pass."""
    num_positions, vocabulary = len(hidden_UH), len(choice.ban_V)
    chunk = max(1, max_logits // vocabulary)
    if num_positions <= chunk:
        return _of_all(hidden_UH, head, choice, entropy)
    logprobs: list[Tensor] = []
    entropies: list[Tensor] = []
    order: list[Tensor] = []
    for first in range(0, num_positions, chunk):
        part, chosen = choice.within(first, first + chunk)
        # The closure's loop variables are read during the backward pass, so they travel as arguments.
        logprobs_N, entropy_N = checkpoint(
            _pair_of_all, hidden_UH[first : first + chunk], head, part, entropy, use_reentrant=False, preserve_rng_state=False
        )
        logprobs.append(logprobs_N)
        if entropy_N is not None:
            entropies.append(entropy_N)
        order.append(chosen)
    back = torch.cat(order).argsort()
    return Predictions(torch.cat(logprobs)[back], torch.cat(entropies)[back] if entropy else None)


def _pair_of_all(hidden_UH: Tensor, head: Head, choice: Choice, entropy: bool) -> tuple[Tensor, Tensor | None]:
    predictions = _of_all(hidden_UH, head, choice, entropy)
    return predictions.logprobs_N, predictions.entropy_N


def _of_all(hidden_UH: Tensor, head: Head, choice: Choice, entropy: bool) -> Predictions:
    logits_UV = _at_least_float32(head(hidden_UH)) / choice.temperature_U[:, None] + choice.ban_V
    logprobs_UV = logits_UV.log_softmax(-1)
    entropy_N = None
    if entropy:
        with torch.no_grad():
            entropy_N = -(logprobs_UV.exp() * logprobs_UV).sum(-1)[choice.predictor_of_N]
    return Predictions(logprobs_UV[choice.predictor_of_N, choice.targets_N], entropy_N)


def _at_least_float32(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
