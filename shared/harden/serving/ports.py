"""Two ports: the engine that computes, and the policy service that is asked.

    service core --PolicyClient--> Triton (or this process) --Engine--> weights

A name's trailing letters are its shape elsewhere in this package: P prompts, N samples of a prompt, T tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harden.domain.completion import Completion, FinishReason, Sampling
from harden.domain.conversation import Conversation
from harden.domain.policy import PolicyRef


@dataclass(frozen=True, slots=True)
class Prompt:
    """`images` are encoded bytes (PNG, JPEG), one for each image part of the conversation, in order."""

    conversation: Conversation
    images: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """`num_samples` completions of one prompt. The same request on the same weights alone in a batch gives the same tokens."""

    prompt: Prompt
    num_samples: int
    sampling: Sampling
    random_seed: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What an engine drew: see Completion, without the policy, which the engine does not know."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason


class Engine(Protocol):
    """One set of weights, loaded. Used by one thread."""

    vocab_size: int

    def generate(self, requests: Sequence[GenerateRequest]) -> list[list[Sample]]:
        """All of them together: one prefill per prompt, finished rows leave the batch. [P][N], in order."""
        ...

    def stream(self, request: GenerateRequest) -> Iterator[list[Sample]]:
        """The samples so far after every token, the last yield being what `generate` would return."""
        ...

    def logprobs(self, prompts: Sequence[Prompt], token_ids_PT: Sequence[Sequence[int]]) -> list[list[float]]:
        """Log-prob at temperature 1 of each given token after its prompt: what a probe compares."""
        ...


class EngineLoader(Protocol):
    """Makes an engine from a Hugging Face directory; weights of an equal architecture reuse the processor in `like`.

    `adapter` is a directory in peft's layout: a LoRA adapter that the policy in `directory` gets. Raises PoisonError with a
    RefusalReason.
    """

    def load(self, directory: Path, like: Engine | None = None, adapter: Path | None = None) -> Engine: ...


class PolicyClient(Protocol):
    """Asks the policy of a slot. Used from many threads at once. Raises TransientError where a retry may help."""

    def generate(self, slot: str, requests: Sequence[GenerateRequest]) -> list[list[Completion]]:
        """[P][N], in order; all completions of one call come from the same policy, named in each."""
        ...

    def served(self, slot: str) -> PolicyRef | None:
        """What the slot answers with now; None while it has nothing."""
        ...
