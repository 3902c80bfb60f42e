"""Settings of the judge."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from harden.config import Section, ServiceConfig
from harden.worlds.registry import DEFAULT, check_installed


class MemberSettings(Section):
    judge: str = Field(min_length=1)
    """Name of a plug-in of `harden.judges`."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Its own settings, passed to it as they are."""


class PanelSettings(Section):
    members: tuple[MemberSettings, ...] = Field(min_length=1)
    """Who judges. All of them are asked about every attack and response that they have questions on."""
    quorum: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """Opinions that a question needs, by its name; 1 where it is not named. With fewer, or without a majority, the question
    is unscoreable and is not trained on."""
    deadline_s: float = Field(20.0, gt=0, le=3600)
    """How long the members may take over one bout. One that has not answered by then abstains."""


class JudgeSettings(Section):
    world: Annotated[str, AfterValidator(check_installed)] = DEFAULT
    """Whose judges the panel `default` has, where `panels` names no such panel."""
    panels: dict[str, PanelSettings] = Field(default_factory=dict)
    """Panels by name, as JSON; a bout names the one that judges it. Left alone: `default`, of the world's judges."""
    max_in_flight: int = Field(32, ge=1, le=1024)
    """Bouts judged at once."""


class JudgeConfig(ServiceConfig):
    judge: JudgeSettings = JudgeSettings()
    """The judge itself."""
