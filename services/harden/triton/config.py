"""Settings of the Triton model. One environment serves every slot; which slot a model is comes from its own config."""

import socket
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from harden.config import Section, ServiceConfig
from harden.domain.policy import SLOT_PATTERN, SLOTS


class TritonSettings(Section):
    slots: tuple[Annotated[str, Field(pattern=SLOT_PATTERN)], ...] = Field(SLOTS, min_length=1)
    """Names of the slots that are served, as a JSON list; each holds one policy at a time, and a game may use as many as it
    wants. Left alone: the attacker's, the defender's and the one that users get."""
    engine: Literal["transformers"] = "transformers"
    """The engine."""
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?)$")
    """Where weights live and computing happens: `cpu`, `cuda` or `cuda:1`."""
    num_threads: int = Field(1, ge=1, le=256)
    """CPU threads of each slot. More than cores divided by busy slots makes all of them slower."""
    max_rows: int = Field(512, ge=1, le=65_536)
    """Most samples computed together. A single request with more is still computed, alone."""
    gather_ms: float = Field(0.0, ge=0, le=1000)
    """How long the first request of a batch waits for others. 0: no longer than the batch before it takes."""
    replica: str = Field(default_factory=socket.gethostname, min_length=1, max_length=200, pattern=r"^[^\s/]+$")
    """Name under which this server speaks on the topic `served`. Left alone: the name of the host."""
    renew_s: float = Field(2.0, gt=0, le=60)
    """Seconds between renewals of a slot's lease on `served`. Left alone: 2."""
    hold_s: float = Field(10.0, gt=0, le=600)
    """Duration of the lease: a server that is gone stops counting after it. At least twice `renew_s`. Left alone: 10."""
    swap_s: float = Field(60.0, ge=0, le=3600)
    """How long a slot may take to serve a new publication before `harden_policy_is_current` becomes 0. Left alone: a minute."""
    work_dir: Path = Field(default_factory=lambda: Path(tempfile.gettempdir()) / "harden-triton")
    """Where fetched policies lie, two of each slot at most. The last one accepted stays and answers again after a restart;
    where the directory does not survive, the topic alone is followed. Left alone: among the system's temporary ones."""

    @field_validator("slots")
    @classmethod
    def _is_a_set(cls, slots: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(slots)) < len(slots):
            raise ValueError("a slot is listed twice; list each name once")
        return slots

    @model_validator(mode="after")
    def _leases_bear_a_late_renewal(self) -> "TritonSettings":
        if self.renew_s * 2 > self.hold_s:
            raise ValueError(f"hold_s ({self.hold_s:g}) must be at least twice renew_s ({self.renew_s:g})")
        return self


class TritonConfig(ServiceConfig):
    triton: TritonSettings = TritonSettings()
    """The policy model inside Triton."""
