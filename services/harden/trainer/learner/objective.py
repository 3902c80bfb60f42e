"""The GRPO objective on a flat list of answer tokens.

Shapes:
    N   answer tokens of all samples in a pass, one sample after another

Symbols, per token:
    theta   log-prob under the policy being trained; the only tensor with a gradient
    prox    log-prob under the policy at the start of the step
    behav   the engine's own log-prob when it drew the token
    ref     log-prob under the first policy (KL only)
    A       advantage of the token's sample
    s       the token's share of the loss: the reciprocal of its denominator (see `shares`)

Equations:
    decoupled PPO    L = -sum s * w * min(r * A, clip(r, 1 - e_low, 1 + e_high) * A),  r = exp(theta - prox)
    truncated IS     w = min(exp(prox - behav), C), detached
    masked IS        w = exp(prox - behav) inside [1/C, C], else 0, detached
    PPO (behaviour)  the same with w = 1 and r = exp(theta - behav)
    KL               l = theta - ref;  k1 = l,  k2 = l^2 / 2,  k3 = exp(-l) - 1 + l
    in the loss      L + beta * sum s * k
    in the reward    A - beta * k, detached
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from harden.trainer.learner.settings import ObjectiveSettings


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """What is known about each answer token besides theta. All [N]; `ref_N` is None where KL is off."""

    advantages_N: Tensor
    shares_N: Tensor
    behav_N: Tensor
    prox_N: Tensor
    ref_N: Tensor | None


@dataclass(slots=True)
class Sums:
    """Sums over tokens, so that passes add up to the same report however the step was split."""

    tokens: float = 0.0
    ratio: float = 0.0
    ratio_max: float = 0.0
    clipped_low: float = 0.0
    clipped_high: float = 0.0
    weight: float = 0.0
    weight_square: float = 0.0
    weight_max: float = 0.0
    kl: float = 0.0
    engine_k1: float = 0.0
    engine_k3: float = 0.0

    def add(self, other: "Sums") -> None:
        for field in fields(self):
            combine = max if field.name.endswith("_max") else float.__add__
            setattr(self, field.name, combine(getattr(self, field.name), getattr(other, field.name)))


def shares(lengths: Sequence[int], settings: ObjectiveSettings) -> list[float]:
    """Share of each sample's tokens in the loss. `lengths` is of every sample of the step, trained on or skipped."""
    num_samples = len(lengths)
    match settings.normalise:
        case "token":
            share = 1.0 / max(sum(lengths), 1)
            return [share] * num_samples
        case "sample":
            return [1.0 / (max(length, 1) * num_samples) for length in lengths]
        case "constant":
            return [1.0 / (num_samples * settings.longest)] * num_samples


def kl_values(theta_N: Tensor, ref_N: Tensor, estimator: str) -> Tensor:
    """k1, k2 or k3 of each token."""
    l_N = theta_N - ref_N
    match estimator:
        case "k1":
            return l_N
        case "k2":
            return l_N.square() / 2
        case "k3":
            return torch.expm1(-l_N) + l_N
    raise ValueError(f"unknown KL estimator {estimator!r}; known: k1, k2, k3")


def importance_weights(prox_N: Tensor, behav_N: Tensor, settings: ObjectiveSettings) -> Tensor:
    """w of each token. Detached: an importance weight is a constant, or tokens below the cap count twice."""
    if settings.importance == "none" or settings.ratio == "behaviour":
        return torch.ones_like(prox_N)
    weight_N = torch.exp(prox_N - behav_N).detach()
    if settings.importance == "truncate":
        return weight_N.clamp(max=settings.importance_cap)
    inside_N = (weight_N <= settings.importance_cap) & (weight_N >= 1 / settings.importance_cap)
    return weight_N * inside_N


def grpo_loss(theta_N: Tensor, batch: TokenBatch, settings: ObjectiveSettings) -> tuple[Tensor, Sums]:
    """The pass's part of the loss (parts add up to the step's) and its sums."""
    anchor_N = batch.prox_N if settings.ratio == "decoupled" else batch.behav_N
    ratio_N = torch.exp(theta_N - anchor_N.detach())
    weight_N = importance_weights(batch.prox_N, batch.behav_N, settings)
    advantage_N, kl_N = batch.advantages_N, None
    if batch.ref_N is not None:
        kl_N = kl_values(theta_N, batch.ref_N, settings.kl_estimator)
        if settings.kl_in == "reward":
            advantage_N = advantage_N - settings.kl_beta * kl_N.detach()
    clipped_N = ratio_N.clamp(1 - settings.clip_low, 1 + settings.clip_high)
    loss_N = -weight_N * torch.minimum(ratio_N * advantage_N, clipped_N * advantage_N)
    if kl_N is not None and settings.kl_in == "loss":
        loss_N = loss_N + settings.kl_beta * (kl_N * ratio_N if settings.kl_importance else kl_N)
    return (loss_N * batch.shares_N).sum(), _sums(theta_N, ratio_N, weight_N, advantage_N, kl_N, batch, settings)


@torch.no_grad()
def _sums(
    theta_N: Tensor,
    ratio_N: Tensor,
    weight_N: Tensor,
    advantage_N: Tensor,
    kl_N: Tensor | None,
    batch: TokenBatch,
    settings: ObjectiveSettings,
) -> Sums:
    if theta_N.numel() == 0:
        return Sums()
    away_N = theta_N - batch.behav_N
    totals = torch.stack(
        [
            ratio_N.sum(),
            ratio_N.max(),
            # Only where the clip bites: a positive advantage is not clipped from below, nor a negative one from above.
            ((ratio_N < 1 - settings.clip_low) & (advantage_N < 0)).sum(),
            ((ratio_N > 1 + settings.clip_high) & (advantage_N > 0)).sum(),
            weight_N.sum(),
            weight_N.square().sum(),
            weight_N.max(),
            kl_N.sum() if kl_N is not None else torch.zeros_like(ratio_N[0]),
            -away_N.sum(),
            (torch.expm1(away_N) - away_N).sum(),
        ]
    )
    return Sums(float(theta_N.numel()), *totals.tolist())
