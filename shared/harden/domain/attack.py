"""Attacks: requests made from a seed, and the bout that has them."""

from dataclasses import dataclass

from harden.domain.bout import AttackSource, Bout
from harden.domain.completion import Completion, SamplingEffort
from harden.domain.conversation import Conversation


@dataclass(frozen=True, slots=True)
class Attack:
    """`text` is as written, image markup included; `conversation` is what the defender is shown."""

    attack_id: str
    text: str
    conversation: Conversation
    source: AttackSource
    family: str = ""
    parent_attack_id: str | None = None
    completion: Completion | None = None  # of the attacker policy, where it wrote this


@dataclass(frozen=True, slots=True)
class AttackedBout:
    bout: Bout
    attacks: tuple[Attack, ...]
    effort: SamplingEffort | None = None  # None where no policy was asked
