"""GRPO (DeepSeekMath, arXiv 2402.03300) with the corrections a current trainer has: settings, advantages, shares, loss.

Shapes: S samples of the step, N answer tokens of a view, as in ports.py.

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
    KL               in the loss  L + beta * sum s * k      in the reward  A - beta * k, detached
    unbiased KL      in the loss  L + beta * sum s * exp(theta - behav) * k
    estimators       with l = theta - ref:  k1 = l,  k2 = l^2 / 2,  k3 = exp(-l) - 1 + l

k1 and k3 have the KL as their mean; differentiated on the policy's own samples, k1 gives mean zero, k2 the gradient of the
reverse KL, k3 that of the forward KL (Schulman, "Approximating KL divergence").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from harden.config import Section
from harden.trainer.objectives.ports import Constants, Figures, Needs, Objective, SampleGroup, View, samples_of

Baseline = Literal["standard", "dr_grpo", "rloo"]
Estimator = Literal["k1", "k2", "k3"]
# Keeps groups that differ by rounding only from exploding.
STD_FLOOR = 1e-4


class GRPOSettings(Section):
    """The GRPO loss."""

    advantages: Baseline = "standard"
    """How much better a sample did than its group: centred and divided by the standard deviation (GRPO), centred only
    (Dr. GRPO), or against the mean of the others (RLOO)."""
    normalise: Literal["token", "sample", "constant"] = "token"
    """What a token's term is divided by: all tokens of the step (DAPO); its sample's tokens and the number of samples
    (GRPO); or the number of samples times `longest` (Dr. GRPO)."""
    longest: int = Field(default=64, ge=1)
    """Tokens per sample that `constant` divides by; unused otherwise."""
    clip_low: float = Field(default=0.2, ge=0, le=1)
    """The ratio counts down to 1 - clip_low. It acts from the second epoch of a step on, or with `ratio: behaviour`."""
    clip_high: float = Field(default=0.28, ge=0)
    """The ratio counts up to 1 + clip_high. It acts from the second epoch of a step on, or with `ratio: behaviour`."""
    ratio: Literal["decoupled", "behaviour"] = "decoupled"
    """What the clipped ratio compares the policy with: itself at the start of the step, the engine's distance being
    corrected by the importance weight; or directly the engine that sampled (plain PPO, no weight)."""
    importance: Literal["truncate", "mask", "none"] = "truncate"
    """Weight of a token that another policy sampled than the one at the start of the step: capped at `importance_cap`,
    dropped outside [1 / cap, cap], or always 1. Only with the decoupled ratio."""
    importance_cap: float = Field(default=2.0, ge=1)
    """C of the importance weight."""
    kl_beta: float = Field(default=0.0, ge=0)
    """Weight of the KL to the first policy. 0 keeps no reference and skips its pass."""
    kl_estimator: Estimator = "k3"
    """k3 pulls along the forward KL, k2 along the reverse; k1 in the reward does what k2 in the loss does."""
    kl_in: Literal["loss", "reward"] = "loss"
    """Whether the KL is differentiated or subtracted from the advantage."""
    kl_importance: bool = False
    """Multiply the KL in the loss by the policy's probability over the engine's, uncapped. With k1 or k3 this is unbiased in
    value and gradient, on stale samples too."""

    @model_validator(mode="after")
    def _kl_moves_something(self) -> "GRPOSettings":
        if self.kl_beta > 0 and self.kl_estimator == "k1" and self.kl_in == "loss" and not self.kl_importance:
            raise ValueError(
                "k1 in the loss has a gradient of mean zero and would hold the policy nowhere: "
                "use k2 or k3, set kl_importance, or put it into the reward with kl_in: reward"
            )
        return self


def advantages_of(rewards: Sequence[float], baseline: Baseline = "standard") -> list[float]:
    """Advantage of each member relative to its group, same order; they sum to zero.

        standard    (r - mean) / (std + STD_FLOOR), std with n - 1 in the denominator
        dr_grpo     r - mean
        rloo        r - mean of the others

    All exactly zero when the rewards are equal: such a group prefers nothing and must not move the policy.
    """
    if not has_variance(rewards):
        return [0.0] * len(rewards)
    mean = math.fsum(rewards) / len(rewards)
    centred = [reward - mean for reward in rewards]
    match baseline:
        case "dr_grpo":
            return centred
        case "rloo":
            return [len(rewards) / (len(rewards) - 1) * c for c in centred]
        case "standard":
            std = math.sqrt(math.fsum(c * c for c in centred) / (len(rewards) - 1))
            return [c / (std + STD_FLOOR) for c in centred]
    raise ValueError(f"unknown baseline {baseline!r}; known: standard, dr_grpo, rloo")


def has_variance(rewards: Sequence[float]) -> bool:
    """Whether the group prefers anything. Compared exactly: rewards come from a table, not from arithmetic."""
    return any(reward != rewards[0] for reward in rewards)


def zero_variance_share(groups: Sequence[Sequence[float]]) -> float:
    """Share of groups that give no gradient; 0 of none. Near 1 on benign prompts it is the mark of a refuse-all defender."""
    return sum(not has_variance(rewards) for rewards in groups) / len(groups) if groups else 0.0


def shares(lengths: Sequence[int], settings: GRPOSettings) -> list[float]:
    """Share of each sample's tokens in the loss. `lengths` is of every sample of the step, trained on or skipped."""
    num_samples = len(lengths)
    match settings.normalise:
        case "token":
            return [1.0 / max(sum(lengths), 1)] * num_samples
        case "sample":
            return [1.0 / (max(length, 1) * num_samples) for length in lengths]
        case "constant":
            return [1.0 / (num_samples * settings.longest)] * num_samples


def importance_weights(prox_N: Tensor, behav_N: Tensor, settings: GRPOSettings) -> Tensor:
    """w of each token. Detached: an importance weight is a constant, or tokens below the cap count twice."""
    if settings.importance == "none" or settings.ratio == "behaviour":
        return torch.ones_like(prox_N)
    weight_N = torch.exp(prox_N - behav_N).detach()
    if settings.importance == "truncate":
        return weight_N.clamp(max=settings.importance_cap)
    inside_N = (weight_N <= settings.importance_cap) & (weight_N >= 1 / settings.importance_cap)
    return weight_N * inside_N


def kl_values(theta_N: Tensor, ref_N: Tensor, estimator: Estimator) -> Tensor:
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


@dataclass(frozen=True, kw_only=True)
class GRPOConstants(Constants):
    """float64, so that no precision is lost; there are few of them."""

    advantages_S: Tensor
    shares_S: Tensor


class GRPO(Objective):
    name: ClassVar[str] = "grpo"
    Settings: ClassVar[type[GRPOSettings]] = GRPOSettings

    def __init__(self, settings: GRPOSettings) -> None:
        self.settings = settings

    @property
    def needs(self) -> Needs:
        return Needs(reference=self.settings.kl_beta > 0, behaviour=True)

    def constants(self, groups: Sequence[SampleGroup], step: int) -> GRPOConstants:
        rewards = [[sample.reward for sample in group.samples] for group in groups]
        advantages = [value for group in rewards for value in advantages_of(group, self.settings.advantages)]
        share_of = shares([len(sample.token_ids) for sample in samples_of(groups)], self.settings)
        return GRPOConstants(
            # Without a KL a sample of advantage zero has no gradient; its tokens still count in the denominator.
            moves=[self.settings.kl_beta > 0 or advantage != 0 for advantage in advantages],
            figures={"zero_variance_share": zero_variance_share(rewards)},
            advantages_S=torch.tensor(advantages, dtype=torch.float64),
            shares_S=torch.tensor(share_of, dtype=torch.float64),
        )

    def loss(self, view: View, constants: GRPOConstants) -> tuple[Tensor, Figures]:
        settings, theta_N, behav_N, prox_N = self.settings, view.policy_N, view.behaviour_N, view.proximal_N
        assert behav_N is not None  # needs.behaviour
        advantage_N = constants.advantages_S.to(theta_N.device)[view.sample_of_N]
        share_N = constants.shares_S.to(theta_N.device)[view.sample_of_N]
        ratio_N = torch.exp(theta_N - (prox_N if settings.ratio == "decoupled" else behav_N).detach())
        weight_N = importance_weights(prox_N, behav_N, settings)
        kl_N = None
        if view.reference_N is not None:
            kl_N = kl_values(theta_N, view.reference_N, settings.kl_estimator)
            if settings.kl_in == "reward":
                advantage_N = advantage_N - settings.kl_beta * kl_N.detach()
        clipped_N = ratio_N.clamp(1 - settings.clip_low, 1 + settings.clip_high)
        loss_N = -weight_N * torch.minimum(ratio_N * advantage_N, clipped_N * advantage_N)
        if kl_N is not None and settings.kl_in == "loss":
            drawn_N = torch.exp(theta_N - behav_N) if settings.kl_importance else 1.0
            loss_N = loss_N + settings.kl_beta * kl_N * drawn_N
        return (loss_N * share_N).sum(), self._figures(view, ratio_N, weight_N, advantage_N, kl_N)

    def notes(self, epochs: int) -> Sequence[str]:
        changed = [name for name in ("clip_low", "clip_high") if getattr(self.settings, name) != getattr(GRPOSettings(), name)]
        if not changed or epochs > 1 or self.settings.ratio == "behaviour":
            return ()
        return (
            f"{' and '.join(changed)} cannot act: with one epoch a step the decoupled ratio is always 1; "
            "set the learner's epochs to 2 or more, or ratio to behaviour",
        )

    @torch.no_grad()
    def _figures(self, view: View, ratio_N: Tensor, weight_N: Tensor, advantage_N: Tensor, kl_N: Tensor | None) -> Figures:
        """`is_`: the importance weight. `engine_kl_`: of the engine's distribution to the trained one."""
        assert view.behaviour_N is not None
        away_N = view.policy_N - view.behaviour_N
        figures = Figures()
        figures.mean("ratio_mean", ratio_N)
        figures.largest("ratio_max", ratio_N)
        # Only where the clip bites: a positive advantage is not clipped from below, nor a negative one from above.
        figures.mean("clipped_low", (ratio_N < 1 - self.settings.clip_low) & (advantage_N < 0))
        figures.mean("clipped_high", (ratio_N > 1 + self.settings.clip_high) & (advantage_N > 0))
        figures.mean("is_mean", weight_N)
        figures.largest("is_max", weight_N)
        figures.effective_share("is_ess", weight_N)
        figures.mean("engine_kl_k1", -away_N)
        figures.mean("engine_kl_k3", torch.expm1(away_N) - away_N)
        if kl_N is not None:
            figures.mean("kl", kl_N)
        return figures
