"""Settings of the attacker service."""

from typing import Annotated

from pydantic import AfterValidator, Field

from harden.config import Section, ServiceConfig
from harden.worlds.registry import DEFAULT, check_installed


class AttackerSettings(Section):
    triton_url: str = Field("localhost:8001", pattern=r"^[^\s:]+:\d+$")
    """gRPC address of the Triton that serves the attacker slot, `host:port`."""
    world: Annotated[str, AfterValidator(check_installed)] = DEFAULT
    """Name of an installed world: where transforms and the drawing of images come from."""
    max_images: int = Field(4, ge=0, le=64)
    """Images one attack may carry; the text of further ones stays text."""
    max_in_flight: int = Field(64, ge=1, le=1024)
    """Bouts worked on at once. Requests that are under way together are computed together."""


class AttackerConfig(ServiceConfig):
    attacker: AttackerSettings = AttackerSettings()
    """The attacker itself."""
