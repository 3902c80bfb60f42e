"""The ports through which a world enters the game: the arena to begin with, real corpora later, with nothing else changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from harden.domain.bout import RecordedAttack
from harden.domain.seed import Seed


@dataclass(frozen=True, slots=True)
class EvaluationCase:
    """One seed with several attacks on it; rows of one case are one cluster when intervals are resampled."""

    seed: Seed
    attacks: tuple[RecordedAttack, ...]


class SeedSource(Protocol):
    def seeds(self) -> Sequence[Seed]:
        """Every training seed, in a fixed order."""
        ...


class Transforms(Protocol):
    def apply(self, seed: Seed, random_seed: int) -> RecordedAttack:
        """The seed in one of the known disguises, drawn with `random_seed`; never one held out for evaluation."""
        ...


class ImageRenderer(Protocol):
    def render(self, text: str, random_seed: int) -> bytes:
        """PNG bytes of the text inside `<image>...</image>` markup."""
        ...


class EvaluationSuites(Protocol):
    def cases(self, suite: str) -> Sequence[EvaluationCase]:
        """The cases of one suite, in a fixed order. `suites()` names them."""
        ...

    def suites(self) -> Sequence[str]: ...

    def measures(self, suite: str) -> tuple[str, ...]:
        """What the answers to a suite show: "attack_success", "refusal", "accuracy", one or more."""
        ...


class AnchorSource(Protocol):
    """Supervised examples to learn beside the game."""

    def example(self, seed: Seed, random_seed: int) -> tuple[RecordedAttack, str]:
        """A request made from `seed`, drawn with `random_seed` and never held out, and the answer a good defender gives."""
        ...
