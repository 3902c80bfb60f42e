"""The panels that the settings name, with their members made from plug-ins."""

from collections.abc import Mapping
from typing import Any

from harden import plugins
from harden.domain.bout import DEFAULT_PANEL
from harden.domain.errors import SetupError
from harden.domain.judging import PanelMember
from harden.judge.config import JudgeSettings, MemberSettings, PanelSettings
from harden.judge.panel import Panel
from harden.worlds import registry


def panels_of(settings: JudgeSettings) -> dict[str, Panel]:
    """Every panel by name. SetupError for a judge that is not installed, refuses its settings, or cannot meet a quorum."""
    named = dict(settings.panels)
    if DEFAULT_PANEL not in named:
        known = registry.load(settings.world).judges
        named[DEFAULT_PANEL] = PanelSettings(members=tuple(MemberSettings(judge=j, settings=dict(s)) for j, s in known.items()))
    return {name: _panel(name, panel, settings.max_in_flight) for name, panel in named.items()}


def _panel(name: str, panel: PanelSettings, max_in_flight: int) -> Panel:
    members = [member_of(one.judge, one.settings) for one in panel.members]
    try:
        return Panel(name, members, quorum=panel.quorum, deadline_s=panel.deadline_s, num_threads=max_in_flight)
    except ValueError as error:
        raise SetupError(f"HARDEN_JUDGE__PANELS: {error}") from error


def member_of(judge: str, settings: Mapping[str, Any]) -> PanelMember:
    """The plug-in of that name with these settings."""
    factory = plugins.load(plugins.JUDGES, judge)
    try:
        member: PanelMember = factory(**settings)
    except (TypeError, ValueError) as error:
        raise SetupError(f"the judge {judge!r} does not accept its settings: {error}") from error
    return member
