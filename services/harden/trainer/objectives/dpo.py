"""Direct preference optimisation (Rafailov et al., arXiv 2305.18290) on given or sampled pairs.

Symbols, per pair of a chosen answer c and a rejected one r, sums over an answer's tokens:
    m   beta * [(theta_c - ref_c) - (theta_r - ref_r)], the implicit reward margin

Equation:
    L = mean over pairs of softplus(-m)  -  nll_weight * mean over pairs of (theta_c / tokens of c)

Hard pairs pull down the chosen answer too; the second term holds it up (methods.md 6.4; DuoGuard uses 0.4).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from harden.config import Section
from harden.trainer.objectives.ports import Constants, Figures, Needs, Objective, Sample, SampleGroup, View, samples_of


class DPOSettings(Section):
    """The DPO loss."""

    beta: float = Field(default=0.1, gt=0)
    """How strongly the policy is held to the first one: the margin of a pair is beta times its log-ratio."""
    nll_weight: float = Field(default=0.0, ge=0)
    """Weight of the chosen answers' mean negative log-likelihood beside the preference."""


@dataclass(frozen=True, kw_only=True)
class DPOConstants(Constants):
    """Numbers of the chosen and the rejected sample of each pair, and how many tokens the chosen one has."""

    chosen_P: Tensor
    rejected_P: Tensor
    lengths_P: Tensor


class DPO(Objective):
    name: ClassVar[str] = "dpo"
    Settings: ClassVar[type[DPOSettings]] = DPOSettings

    def __init__(self, settings: DPOSettings) -> None:
        self.settings = settings

    @property
    def needs(self) -> Needs:
        return Needs(reference=True, whole_batch=True)

    def constants(self, groups: Sequence[SampleGroup], step: int) -> DPOConstants:
        samples = samples_of(groups)
        pairs = _pairs(samples)
        paired = {number for pair in pairs for number in pair}
        return DPOConstants(
            moves=[number in paired for number in range(len(samples))],
            figures={"pairs": float(len(pairs))},
            chosen_P=torch.tensor([chosen for chosen, _ in pairs], dtype=torch.int64),
            rejected_P=torch.tensor([rejected for _, rejected in pairs], dtype=torch.int64),
            lengths_P=torch.tensor([max(len(samples[chosen].token_ids), 1) for chosen, _ in pairs], dtype=torch.float64),
        )

    def loss(self, view: View, constants: DPOConstants) -> tuple[Tensor, Figures]:
        assert view.reference_N is not None  # needs.reference
        device, num_samples = view.policy_N.device, len(constants.moves)
        chosen_P, rejected_P = constants.chosen_P.to(device), constants.rejected_P.to(device)
        theta_S = view.per_sample(view.policy_N.double(), num_samples)
        ref_S = view.per_sample(view.reference_N.double(), num_samples)
        gain_S = theta_S - ref_S
        margin_P = self.settings.beta * (gain_S[chosen_P] - gain_S[rejected_P])
        likelihood_P = theta_S[chosen_P] / constants.lengths_P.to(device)
        loss = softplus(-margin_P).mean() - self.settings.nll_weight * likelihood_P.mean()
        figures = Figures()
        figures.mean("margin", margin_P)
        figures.mean("preferred_share", (margin_P > 0).double())
        figures.mean("chosen_logprob", likelihood_P)
        return loss, figures


def _pairs(samples: Sequence[Sample]) -> list[tuple[int, int]]:
    """Numbers (chosen, rejected) of every pair; the one with the larger reward is chosen. Samples without a pair are left.

    Raises ValueError for a pair that has not two samples of different reward.
    """
    members: dict[str, list[int]] = {}
    for number, sample in enumerate(samples):
        if sample.pair:
            members.setdefault(sample.pair, []).append(number)
    pairs = []
    for name, numbers in members.items():
        if len(numbers) != 2 or samples[numbers[0]].reward == samples[numbers[1]].reward:
            rewards = [samples[number].reward for number in numbers]
            raise ValueError(f"pair {name!r} has rewards {rewards}; a pair is two samples with different rewards")
        rejected, chosen = sorted(numbers, key=lambda number: samples[number].reward)
        pairs.append((chosen, rejected))
    return pairs
