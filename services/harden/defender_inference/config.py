"""Settings of the defender inference service."""

from typing import Annotated

from pydantic import AfterValidator, Field

from harden.config import Section, ServiceConfig
from harden.domain.policy import SLOT_PATTERN, Slot
from harden.worlds.registry import DEFAULT, check_installed

SlotName = Annotated[str, Field(pattern=SLOT_PATTERN)]


class GuardSettings(Section):
    world: Annotated[str, AfterValidator(check_installed)] = DEFAULT
    """Name of an installed world that has a guard: how a request is asked about, and how a refusal reads."""
    asks: SlotName = Slot.DEFENDER_STABLE
    """Slot of the policy that is asked whether a request is allowed."""
    slots: tuple[SlotName, ...] = (Slot.DEFENDER, Slot.SIDE)
    """Slots that are guarded, as a JSON list. Requests to other slots pass without a question."""


class DefenderInferenceSettings(Section):
    triton_url: str = Field("localhost:8001", pattern=r"^[^\s:]+:\d+$")
    """gRPC address of the Triton that serves the defender slots, `host:port`."""
    max_in_flight: int = Field(64, ge=1, le=1024)
    """Bouts worked on at once. Requests that are under way together are computed together."""
    guard: GuardSettings | None = None
    """Asks another policy first whether a request is allowed, and refuses where it is not. Left alone: nobody is asked."""


class DefenderInferenceConfig(ServiceConfig):
    defender_inference: DefenderInferenceSettings = DefenderInferenceSettings()
    """The service itself."""
