"""Algorithm: bouts and groups as GRPO has them, but only the best and the worst samples of each group are learned from."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from harden import plugins
from harden.trainer.algorithms.grpo import GroupPlay, PlaySettings
from harden.trainer.algorithms.ports import Equipment, StepContext
from harden.trainer.objectives.ports import Objective, SampleGroup, Term


class ExtremesSettings(PlaySettings):
    """Bouts of a mixture, and the extremes of their groups."""

    at_each_end: int = Field(default=1, ge=1)
    """Samples kept at each end of a group."""


class Extremes(GroupPlay):
    Settings: ClassVar[type[ExtremesSettings]] = ExtremesSettings

    def __init__(self, settings: ExtremesSettings, equipment: Equipment) -> None:
        super().__init__(settings, equipment)
        kind = plugins.load(plugins.OBJECTIVES, "mean_baseline")
        self._objective: Objective = kind(kind.Settings())
        self._at_each_end = settings.at_each_end

    def game_terms(self, groups: Sequence[SampleGroup], context: StepContext) -> list[Term]:
        return [Term(self._objective, [self._extremes(group) for group in groups])]

    def _extremes(self, group: SampleGroup) -> SampleGroup:
        ranked = sorted(group.samples, key=lambda sample: sample.reward)
        if len(ranked) <= 2 * self._at_each_end:
            return group
        return replace(group, samples=(*ranked[: self._at_each_end], *ranked[-self._at_each_end :]))
