"""Responses of the defender, and the bout that has them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harden.domain.attack import Attack, AttackedBout
from harden.domain.bout import Bout
from harden.domain.completion import Completion, SamplingStats


@dataclass(frozen=True, slots=True)
class Response:
    response_id: str
    attack_id: str
    completion: Completion


@dataclass(frozen=True, slots=True)
class SampledBout:
    attacked: AttackedBout
    responses: tuple[Response, ...]  # attack by attack, `num_responses` each; none where the bout asks for none
    stats: SamplingStats | None = None  # None where the defender was not asked

    @property
    def bout(self) -> Bout:
        return self.attacked.bout

    def exchanges(self) -> Iterator[tuple[Attack, Sequence[Response]]]:
        n = self.bout.num_responses
        for i, attack in enumerate(self.attacked.attacks):
            yield attack, self.responses[i * n : (i + 1) * n]
