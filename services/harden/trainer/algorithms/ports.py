"""The port of an algorithm: it plans the bouts of a step, and makes weighted terms of samples out of judged bouts.

It knows the game (seeds, mixtures, verdicts, rewards) and no models: losses are objectives, and the learner runs the passes.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel

from harden.domain.bout import Bout, Role
from harden.domain.completion import Sampling
from harden.domain.game import AnchorSource, ImageRenderer
from harden.domain.seed import Seed
from harden.domain.verdict import JudgedBout
from harden.store.ports import BlobStore
from harden.trainer.core.admission import LagOf
from harden.trainer.core.plan import BatchKey, Replayed
from harden.trainer.objectives.ports import Term

SeedPool = Mapping[str, Sequence[Seed]]


@dataclass(frozen=True, slots=True)
class Equipment:
    """What an algorithm is made with besides its settings.

    `role`: whose policy learns. `is_reserved`: whether an attack's text is kept for the suites; nothing of it is learned.
    """

    role: Role
    attack_sampling: Sampling
    response_sampling: Sampling
    max_version_lag: int
    anchors: AnchorSource
    images: ImageRenderer
    store: BlobStore
    is_reserved: Callable[[str], bool] = lambda _: False


@dataclass(frozen=True, slots=True)
class BoutRequest:
    """The position in the game for which bouts are planned, and the material for them.

    `replay(count, random_seed)` draws attacks that once worked; fewer where there are fewer.
    """

    batch: BatchKey
    seeds: SeedPool
    replay: Callable[[int, int], Sequence[Replayed]]


@dataclass(frozen=True, slots=True)
class StepContext:
    """The position of a step in the game. `lag_of`: version lag of the policy that wrote a completion."""

    run_id: str
    round: int
    step: int
    seeds: SeedPool
    lag_of: LagOf


@dataclass(frozen=True, slots=True)
class StepTerms:
    """The terms for the learner, and the dropped bouts; all others were trained on."""

    terms: Sequence[Term]
    dropped: Mapping[str, str] = field(default_factory=dict)  # bout id -> why it was not trained on
    figures: Mapping[str, float] = field(default_factory=dict)  # such as reward_mean; those without a value are left out

    def without(self, judged: Sequence[JudgedBout], reason: str) -> "StepTerms":
        """The step was skipped: every bout that had not been dropped is dropped now, for `reason`."""
        return dataclasses.replace(self, dropped={b.bout.bout_id: self.dropped.get(b.bout.bout_id, reason) for b in judged})

    @property
    def lags(self) -> list[int]:
        """Largest lag in each group of drawn samples, in updates."""
        groups = [group for term in self.terms for group in term.groups]
        drawn = [[sample.lag for sample in group.samples if not sample.is_given] for group in groups]
        return [max(lags) for lags in drawn if lags]


class Algorithm(Protocol):
    """A plug-in of the group `harden.algorithms`: made with its settings and its equipment, one for each player that learns.

    `Settings` is its section of the experiment file. It keeps no state: the same request gives the same bouts, ids included,
    and the same judged bouts give the same terms.
    """

    Settings: ClassVar[type[BaseModel]]

    def __init__(self, settings: Any, equipment: Equipment) -> None: ...

    @classmethod
    def categories(cls, settings: Any) -> frozenset[str]:
        """Categories of the seeds it draws: a game begins when there are some of each."""
        return frozenset()

    def bouts(self, request: BoutRequest) -> list[Bout]:
        """The bouts of one step; none where it trains on given examples alone."""
        ...

    def terms(self, judged: Sequence[JudgedBout], context: StepContext) -> StepTerms:
        """The terms of one step, in the order of the bouts."""
        ...
