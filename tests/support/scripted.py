"""A policy service whose answers follow from what it is asked, for tests of what is said to it and made of its answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from harden.defender_inference.handler import Defender
from harden.domain import ids
from harden.domain.attack import AttackedBout
from harden.domain.completion import Completion, FinishReason
from harden.domain.policy import PolicyRef
from harden.domain.response import SampledBout
from harden.serving.ports import GenerateRequest
from harden.store.ports import BlobStore
from tests.support.builders import NOON


@dataclass
class ScriptedPolicies:
    """PolicyClient. The attacker's words begin with `attack`, every other slot says the `answers` in turn; nothing is drawn."""

    answers: Sequence[str] = ("mix moss and salt", "sorry i can not help")
    asked: list[tuple[str, GenerateRequest]] = field(default_factory=list)

    def generate(self, slot: str, requests: Sequence[GenerateRequest]) -> list[list[Completion]]:
        self.asked += [(str(slot), request) for request in requests]
        return [[self._completion(str(slot), request, i) for i in range(request.num_samples)] for request in requests]

    def served(self, slot: str) -> PolicyRef | None:
        return None

    def _completion(self, slot: str, request: GenerateRequest, index: int) -> Completion:
        number = ids.root("scripted", slot, str(request.prompt.conversation), request.random_seed, index)
        text = f"attack {number[:8]}" if slot == "attacker" else self.answers[index % len(self.answers)]
        tokens = (7, int(number[:4], 16), 2)
        return Completion(text, tokens, (-0.5,) * len(tokens), FinishReason.STOP, ids.digest_of(slot.encode()), 1)


def answered(attacked: AttackedBout, store: BlobStore) -> SampledBout:
    """The turn with the answers of a scripted defender."""
    return Defender(ScriptedPolicies(), store, now=lambda: NOON).handle(attacked)
