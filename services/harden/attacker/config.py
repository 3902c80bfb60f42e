"""Settings of the attacker service."""

from typing import Literal

from pydantic import Field

from harden.config import Section, ServiceConfig


class AttackerSettings(Section):
    triton_url: str = Field("localhost:8001", pattern=r"^[^\s:]+:\d+$")
    """gRPC address of the Triton that serves the attacker slot, `host:port`."""
    world: Literal["arena"] = "arena"
    """Where transforms and the drawing of images come from."""
    max_images: int = Field(4, ge=0, le=64)
    """Images one attack may carry; the text of further ones stays text."""
    max_in_flight: int = Field(64, ge=1, le=1024)
    """Bouts worked on at once. Requests that are under way together are computed together."""


class AttackerConfig(ServiceConfig):
    attacker: AttackerSettings = AttackerSettings()
    """The attacker itself."""
