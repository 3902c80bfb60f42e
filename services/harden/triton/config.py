"""Settings of the Triton model. One environment serves every slot; which slot a model is comes from its own config."""

import socket
import tempfile
from pathlib import Path
from typing import Literal

from pydantic import Field

from harden.config import Section, ServiceConfig


class TritonSettings(Section):
    engine: Literal["transformers"] = "transformers"
    """What computes."""
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
    work_dir: Path = Field(default_factory=lambda: Path(tempfile.gettempdir()) / "harden-triton")
    """Where fetched policies lie while they are loaded: two of each slot at most, nothing worth keeping. Left alone: a
    directory among the system's temporary ones."""


class TritonConfig(ServiceConfig):
    triton: TritonSettings = TritonSettings()
    """The policy model inside Triton."""
