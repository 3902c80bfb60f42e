"""What a policy draws: how it is sampled, the tokens that came, and what sampling them cost."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Log-probs are those of the distribution drawn from: temperature applied, special tokens banned."""

    max_tokens: int
    temperature: float = 1.0  # 0 is greedy

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if self.temperature < 0:
            raise ValueError(f"temperature must not be negative, not {self.temperature}; 0 is greedy")


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Completion:
    """Tokens a policy drew. `logprobs[t]` is the engine's own log-prob of `token_ids[t]` (behaviour policy); EOS included.

    Without tokens no policy drew the text: it was given in place of a response, and nobody learns from it.
    `text` is what is shown. `hidden` is what the policy wrote before it and does not show, such as its reasoning; the
    tokens cover both.
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason
    policy_digest: str
    policy_version: int
    hidden: str = ""

    def __post_init__(self) -> None:
        if len(self.token_ids) != len(self.logprobs):
            raise ValueError(f"{len(self.token_ids)} tokens but {len(self.logprobs)} log-probs")


@dataclass(frozen=True, slots=True)
class SamplingStats:
    """Requests to the slot for one stage of a bout and how many failed, and when (Unix seconds) it began and ended."""

    num_requests: int
    num_failed: int
    began_at: float
    ended_at: float
