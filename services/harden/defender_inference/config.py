"""Settings of the defender inference service."""

from pydantic import Field

from harden.config import Section, ServiceConfig


class DefenderInferenceSettings(Section):
    triton_url: str = Field("localhost:8001", pattern=r"^[^\s:]+:\d+$")
    """gRPC address of the Triton that serves the defender slots, `host:port`."""
    max_in_flight: int = Field(64, ge=1, le=1024)
    """Bouts worked on at once. Requests that are under way together are computed together."""


class DefenderInferenceConfig(ServiceConfig):
    defender_inference: DefenderInferenceSettings = DefenderInferenceSettings()
    """The service itself."""
