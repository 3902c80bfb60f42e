"""Cross-entropy on given answers: an anchor that preserves behaviour on benign requests during a game.

L = -sum over all tokens of the step of theta, divided by their number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from harden.config import Section
from harden.trainer.objectives.ports import Constants, Figures, Objective, SampleGroup, View, samples_of


class SupervisedSettings(Section):
    """The supervised loss has no settings of its own; its weight is the term's."""


@dataclass(frozen=True, kw_only=True)
class SupervisedConstants(Constants):
    num_tokens: int


class Supervised(Objective):
    name: ClassVar[str] = "supervised"
    Settings: ClassVar[type[SupervisedSettings]] = SupervisedSettings

    def __init__(self, settings: SupervisedSettings | None = None) -> None:
        self.settings = settings or SupervisedSettings()

    def constants(self, groups: Sequence[SampleGroup], step: int) -> SupervisedConstants:
        samples = samples_of(groups)
        return SupervisedConstants(moves=[True] * len(samples), num_tokens=sum(len(s.token_ids) for s in samples))

    def loss(self, view: View, constants: SupervisedConstants) -> tuple[Tensor, Figures]:
        figures = Figures()
        figures.mean("cross_entropy", -view.policy_N)
        return -view.policy_N.sum() / max(constants.num_tokens, 1), figures
