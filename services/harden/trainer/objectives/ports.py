"""What an objective is: a loss over token log-probs, small and pure. It sees no model, no tokenizer and no pass.

The learner asks it, once a step, for everything that is not the policy's (`constants`), and then, pass by pass, for the
loss of the samples in the pass. Losses of passes add up to the step's: an objective divides by what `constants` knew of
the whole step, never by the size of a pass.

Shapes:
    S   samples of a term, group after group: a sample's number is its place in this order
    N   answer tokens of the samples in a view, one sample after another
    C   contrast tokens of the samples in a view
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from pydantic import BaseModel
from torch import Tensor

from harden.serving.ports import Prompt


@dataclass(frozen=True, slots=True)
class Contrast:
    """The token that could stand at `position` of the answer instead: its log-prob there is wanted too."""

    position: int
    token_id: int


@dataclass(frozen=True, slots=True)
class Sample:
    """An answer to a prompt, drawn by an engine or given by somebody.

    A drawn one has the engine's own log-prob of each token (`behaviour_logprobs`, EOS included). A given one has none, and
    either tokens or a text, which the learner encodes with the end of the answer behind it.
    """

    token_ids: tuple[int, ...] = ()
    behaviour_logprobs: tuple[float, ...] | None = None
    text: str | None = None
    temperature: float = 1.0  # of the distribution it was drawn from, and is scored under
    rewards: Mapping[str, float] = field(default_factory=dict)  # by channel
    pair: str = ""  # samples of one pair are compared with each other
    contrasts: tuple[Contrast, ...] = ()
    lag: int = 0  # updates between the policy that drew it and the one that learns
    origin: str = ""  # where it came from: a mixture component, a file

    def __post_init__(self) -> None:
        if self.behaviour_logprobs is not None and len(self.token_ids) != len(self.behaviour_logprobs):
            raise ValueError(f"{len(self.token_ids)} tokens but {len(self.behaviour_logprobs)} behaviour log-probs")
        if self.text is not None and (self.token_ids or self.behaviour_logprobs is not None):
            raise ValueError("a sample has tokens or a text, not both")
        if self.temperature <= 0:
            raise ValueError(f"samples drawn at temperature {self.temperature} have no gradient; sample at a positive one")
        for contrast in self.contrasts:
            if not 0 <= contrast.position < len(self.token_ids):
                raise ValueError(f"contrast position {contrast.position} is outside an answer of {len(self.token_ids)} tokens")

    @property
    def reward(self) -> float:
        """Sum of the channels."""
        return sum(self.rewards.values())

    @property
    def is_given(self) -> bool:
        return self.behaviour_logprobs is None


@dataclass(frozen=True, slots=True)
class SampleGroup:
    """Samples of one prompt, and only of one: comparing answers to different prompts would reward easy prompts."""

    prompt: Prompt
    samples: tuple[Sample, ...]


def samples_of(groups: Sequence[SampleGroup]) -> list[Sample]:
    """In the order of their numbers."""
    return [sample for group in groups for sample in group.samples]


@dataclass(frozen=True, slots=True)
class Needs:
    """What the learner must compute or know before it asks for the loss.

    `reference`: log-probs under the policy training began with. `behaviour`: the engine's log-probs, so no given samples.
    `whole_batch`: the loss of a sample depends on others', so all log-probs of the term are in one view. This costs one more
    forward pass. Log-probs under the policy at the start of the step are always available at no extra cost.
    """

    reference: bool = False
    behaviour: bool = False
    whole_batch: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number of the objective's own that is trained beside the policy, such as log Z. Saved with the learner's state."""

    initial: Tensor
    learning_rate: float


@dataclass(frozen=True, slots=True)
class View:
    """The log-probs of some samples' tokens, float32 or wider. `policy_N` and `contrast_C` carry the gradient."""

    sample_of_N: Tensor  # number of the token's sample
    position_N: Tensor  # of the token in its answer
    policy_N: Tensor
    proximal_N: Tensor  # under the policy at the start of the step
    behaviour_N: Tensor | None  # float64; None unless needed
    reference_N: Tensor | None  # None unless needed
    contrast_C: Tensor  # of contrast tokens, under the policy
    contrast_at_C: Tensor  # into N: the token that stands where the contrast could
    parameters: Mapping[str, Tensor] = field(default_factory=dict)

    def per_sample(self, values_N: Tensor, num_samples: int) -> Tensor:
        """Sums over each sample's tokens, by number. [S], zero for samples that are not in the view."""
        return values_N.new_zeros(num_samples).index_add(0, self.sample_of_N, values_N)


@dataclass(frozen=True, kw_only=True)
class Constants:
    """What does not depend on the policy. An objective extends it with tensors of its own, indexed by sample number.

    `moves[i]`: whether sample i has a gradient; where it has none, nothing of it is computed. `figures`: of the step, known
    before anything is computed.
    """

    moves: Sequence[bool]
    figures: Mapping[str, float] = field(default_factory=dict)


class Figures:
    """The figures that a loss reports, as sums, so that the passes of a step add up to one report."""

    def __init__(self) -> None:
        self._means: dict[str, Tensor] = {}  # [total, count]
        self._maxima: dict[str, Tensor] = {}
        self._shares: dict[str, Tensor] = {}  # [count, total, total of squares]

    @torch.no_grad()
    def mean(self, name: str, values: Tensor) -> None:
        """Called again, the mean of all values."""
        totals = torch.stack([values.sum().double(), values.new_tensor(values.numel(), dtype=torch.float64)])
        self._means[name] = self._means[name] + totals if name in self._means else totals

    @torch.no_grad()
    def largest(self, name: str, values: Tensor) -> None:
        if values.numel():
            self._maxima[name] = values.max().double()

    @torch.no_grad()
    def effective_share(self, name: str, weights: Tensor) -> None:
        """Effective sample size (sum w)^2 / sum w^2 as a share of the number of weights: 1 where all are equal."""
        weights = weights.double()
        self._shares[name] = torch.stack([weights.new_tensor(weights.numel()), weights.sum(), weights.square().sum()])

    def add(self, other: "Figures") -> None:
        for mine, theirs in ((self._means, other._means), (self._shares, other._shares)):
            for name, totals in theirs.items():
                mine[name] = mine[name] + totals if name in mine else totals
        for name, maximum in other._maxima.items():
            self._maxima[name] = torch.maximum(self._maxima[name], maximum) if name in self._maxima else maximum

    def to_json(self) -> dict[str, float]:
        result = {name: _over(*totals.tolist()) for name, totals in self._means.items()}
        result |= {name: maximum.item() for name, maximum in self._maxima.items()}
        for name, totals in self._shares.items():
            count, total, squares = totals.tolist()
            result[name] = _over(total**2, count * squares)
        return result


def _over(total: float, count: float) -> float:
    return total / count if count else 0.0


class Objective(Protocol):
    """A plug-in of the group `harden.objectives`. Extend it to inherit the defaults of most objectives.

    `Settings` is its section of the experiment file; the plug-in is made with an instance of it. It keeps no state of its
    own: numbers it trains are `parameters`, which the learner holds and saves.
    """

    name: ClassVar[str]
    Settings: ClassVar[type[BaseModel]]

    @property
    def needs(self) -> Needs:
        return Needs()

    def parameters(self, groups: Sequence[SampleGroup]) -> Mapping[str, Parameter]:
        """The own parameters that a step on `groups` uses. One that the learner has not seen begins at its `initial`."""
        return {}

    def constants(self, groups: Sequence[SampleGroup], step: int) -> Any:
        """A `Constants` for the samples of the step. `step` counts the learner's steps from 0."""
        ...

    def loss(self, view: View, constants: Any) -> tuple[Tensor, Figures]:
        """The view's part of the loss, to be minimised, and its figures."""
        ...

    def notes(self, epochs: int) -> Sequence[str]:
        """Settings that cannot act at so many epochs a step, one sentence each: what is ignored and what would help."""
        return ()


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a step's loss. `name` is the key of its figures and its own parameters."""

    objective: Objective
    groups: Sequence[SampleGroup]
    weight: float = 1.0
    name: str = ""

    @property
    def key(self) -> str:
        return self.name or self.objective.name
