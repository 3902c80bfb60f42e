"""REINFORCE with a leave-one-out baseline (RLOO; Ahmadian et al., arXiv 2402.14740): no clip, no standard deviation.

Symbols, per sample i of a group of K:
    R_i   reward, less beta times the log-ratio of the whole answer to the first policy
    A_i   R_i - mean of the other R_j, detached
    w     min(exp(theta - behav), C) of each token, detached: 1 where the policy sampled for itself

Equation:
    L = -1/S * sum_i A_i * sum_t w_it * theta_it

The KL is part of the reward and so of the baseline: with beta > 0 a sample's loss depends on its group's log-probs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harden.config import Section
from harden.trainer.objectives.grpo import has_variance, zero_variance_share
from harden.trainer.objectives.ports import Constants, Figures, Needs, Objective, SampleGroup, View, samples_of


class RLOOSettings(Section):
    """The RLOO loss."""

    importance_cap: float = Field(default=2.0, ge=1)
    """Largest weight of a token that another policy sampled than the one being trained."""
    kl_beta: float = Field(default=0.0, ge=0)
    """Weight of the KL to the first policy in the reward. 0 keeps no reference and skips its pass."""


@dataclass(frozen=True, kw_only=True)
class RLOOConstants(Constants):
    rewards_S: Tensor
    group_of_S: Tensor
    num_others_S: Tensor  # members of the sample's group besides it


class RLOO(Objective):
    name: ClassVar[str] = "rloo"
    Settings: ClassVar[type[RLOOSettings]] = RLOOSettings

    def __init__(self, settings: RLOOSettings) -> None:
        self.settings = settings

    @property
    def needs(self) -> Needs:
        uses_kl = self.settings.kl_beta > 0
        return Needs(reference=uses_kl, behaviour=True, whole_batch=uses_kl)

    def constants(self, groups: Sequence[SampleGroup], step: int) -> RLOOConstants:
        rewards = [[sample.reward for sample in group.samples] for group in groups]
        sizes = [len(group) for group in rewards]
        moves = [self.settings.kl_beta > 0 or has_variance(group) for group in rewards]
        return RLOOConstants(
            moves=[moves[g] and size > 1 for g, size in enumerate(sizes) for _ in range(size)],
            figures={"zero_variance_share": zero_variance_share(rewards)},
            rewards_S=torch.tensor([sample.reward for sample in samples_of(groups)], dtype=torch.float64),
            group_of_S=torch.tensor([g for g, size in enumerate(sizes) for _ in range(size)], dtype=torch.int64),
            num_others_S=torch.tensor([max(size - 1, 1) for size in sizes for _ in range(size)], dtype=torch.float64),
        )

    def loss(self, view: View, constants: RLOOConstants) -> tuple[Tensor, Figures]:
        theta_N, behav_N = view.policy_N, view.behaviour_N
        assert behav_N is not None  # needs.behaviour
        num_samples = len(constants.rewards_S)
        rewards_S = constants.rewards_S.to(theta_N.device)
        figures = Figures()
        if view.reference_N is not None:
            gap_N = (theta_N - view.reference_N).detach()
            rewards_S = rewards_S - self.settings.kl_beta * view.per_sample(gap_N, num_samples)
            figures.mean("kl", gap_N)
        group_of_S = constants.group_of_S.to(theta_N.device)
        total_G = rewards_S.new_zeros(int(group_of_S.max()) + 1).index_add(0, group_of_S, rewards_S)
        baseline_S = (total_G[group_of_S] - rewards_S) / constants.num_others_S.to(theta_N.device)
        weight_N = torch.exp(theta_N - behav_N).detach().clamp(max=self.settings.importance_cap)
        loss_N = -weight_N * (rewards_S - baseline_S)[view.sample_of_N] * theta_N
        figures.mean("is_mean", weight_N)
        figures.largest("is_max", weight_N)
        figures.effective_share("is_ess", weight_N)
        return loss_N.sum() / num_samples, figures
