"""Objective: REINFORCE whose baseline is the mean reward of the group.  L = -1/S * sum_i (R_i - mean R) * sum_t theta_it"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

import torch
from torch import Tensor

from harden.config import Section
from harden.trainer.objectives.ports import Constants, Figures, Objective, SampleGroup, View


class MeanBaselineSettings(Section):
    """The loss."""

    scale: float = 1.0
    """Factor of every advantage."""


@dataclass(frozen=True, kw_only=True)
class Advantages(Constants):
    advantage_S: Tensor


class MeanBaseline(Objective):
    name: ClassVar[str] = "mean_baseline"
    Settings: ClassVar[type[MeanBaselineSettings]] = MeanBaselineSettings

    def __init__(self, settings: MeanBaselineSettings) -> None:
        self.settings = settings

    def constants(self, groups: Sequence[SampleGroup], step: int) -> Advantages:
        means = [fmean(sample.reward for sample in group.samples) for group in groups]
        better = [sample.reward - mean for group, mean in zip(groups, means, strict=True) for sample in group.samples]
        advantage_S = self.settings.scale * torch.tensor(better, dtype=torch.float64)
        return Advantages(moves=[value != 0 for value in better], advantage_S=advantage_S)

    def loss(self, view: View, constants: Advantages) -> tuple[Tensor, Figures]:
        advantage_N = constants.advantage_S.to(view.policy_N.device)[view.sample_of_N]
        figures = Figures()
        figures.mean("advantage_size", advantage_N.abs())
        return -(advantage_N * view.policy_N).sum() / len(constants.advantage_S), figures
