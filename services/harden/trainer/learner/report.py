"""What a step did."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

NON_FINITE = "non_finite_gradient"


@dataclass(frozen=True, slots=True)
class StepReport:
    """Figures are of the last epoch. `terms`: by the term's key, its `loss` (unweighted), where samples were drawn
    the `entropy` of their tokens, and the figures that its objective reports."""

    step: int
    moved: bool  # False where nothing had a gradient or the step was skipped: weights and optimiser stayed as they were
    skipped: str  # why no update was made of a gradient that was there; "" where none was skipped
    loss: float  # weighted sum over the terms
    grad_norm: float  # of the policy, before clipping
    terms: Mapping[str, Mapping[str, float]]
    num_groups: int
    num_samples: int
    num_samples_trained: int  # the others have no gradient and were not computed
    num_tokens: int  # answer tokens of all samples
    num_positions: int  # positions computed, after sharing
    seconds: float
    notes: tuple[str, ...] = ()  # settings that cannot act, said in the first step that meets them

    def figure(self, name: str, default: float = 0.0) -> float:
        """Of the first term that has it."""
        return next((figures[name] for figures in self.terms.values() if name in figures), default)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
