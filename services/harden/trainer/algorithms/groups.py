"""The game's groups under any objective by name: a new loss can be tried on a game without an algorithm of its own."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field, model_validator

from harden import plugins
from harden.trainer.algorithms.grpo import GroupPlay, PlaySettings
from harden.trainer.algorithms.ports import Equipment, StepContext
from harden.trainer.objectives.ports import Objective, SampleGroup, Term


class GroupsSettings(PlaySettings):
    """Bouts of a mixture under a chosen objective."""

    objective: str = Field(min_length=1)
    """Name of the objective, a plug-in of the group `harden.objectives`."""
    settings: Mapping[str, Any] = Field(default_factory=dict)
    """Settings of the objective."""

    @model_validator(mode="after")
    def _settings_fit(self) -> "GroupsSettings":
        plugins.load(plugins.OBJECTIVES, self.objective).Settings.model_validate(self.settings)
        return self


class Groups(GroupPlay):
    Settings: ClassVar[type[GroupsSettings]] = GroupsSettings

    def __init__(self, settings: GroupsSettings, equipment: Equipment) -> None:
        super().__init__(settings, equipment)
        chosen = plugins.load(plugins.OBJECTIVES, settings.objective)
        self._objective: Objective = chosen(chosen.Settings.model_validate(settings.settings))

    def game_terms(self, groups: Sequence[SampleGroup], context: StepContext) -> list[Term]:
        return [Term(self._objective, groups)]
