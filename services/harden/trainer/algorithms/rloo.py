"""RLOO on a game: the bouts, rewards and groups of GRPO under REINFORCE with a leave-one-out baseline (objectives/rloo.py)."""

from collections.abc import Sequence
from typing import ClassVar

from harden import plugins
from harden.trainer.algorithms.grpo import GroupPlay, PlaySettings
from harden.trainer.algorithms.ports import Equipment, StepContext
from harden.trainer.objectives.ports import Objective, SampleGroup, Term
from harden.trainer.objectives.rloo import RLOOSettings


class RLOOAlgorithmSettings(PlaySettings):
    """RLOO: bouts of a mixture under the RLOO loss."""

    objective: RLOOSettings = RLOOSettings()
    """Advantages and loss."""


class RLOO(GroupPlay):
    Settings: ClassVar[type[RLOOAlgorithmSettings]] = RLOOAlgorithmSettings

    def __init__(self, settings: RLOOAlgorithmSettings, equipment: Equipment) -> None:
        super().__init__(settings, equipment)
        self._objective: Objective = plugins.load(plugins.OBJECTIVES, "rloo")(settings.objective)

    def game_terms(self, groups: Sequence[SampleGroup], context: StepContext) -> list[Term]:
        return [Term(self._objective, groups)]
