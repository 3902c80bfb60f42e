"""What one update of a policy did."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from harden.domain import ids
from harden.domain.bout import Role


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A figure is None where the algorithm has no such thing."""

    run_id: str
    role: Role
    round: int
    step: int  # within the round, from 0
    algorithm: str
    trained: int  # bouts
    seconds: float  # of the update, without waiting for bouts
    dropped: Mapping[str, int] = field(default_factory=dict)  # reason -> judged bouts that were not trained on
    side_run: str = ""  # "" for the game's own steps
    skipped: str = ""  # why the weights stayed as they were although there was a gradient
    reward_mean: float | None = None
    success: float | None = None  # share of the answers to harmful requests that are harmful
    zero_variance_share: float | None = None
    kl: float | None = None  # nats per token, to the reference policy
    entropy: float | None = None  # nats per token
    grad_norm: float | None = None
    importance_ess: float | None = None
    lag_max: int = 0  # updates
    figures: Mapping[str, float] = field(default_factory=dict)  # further figures of the objectives, `<term>.<figure>`

    @property
    def record_id(self) -> str:
        """The same when the step is repeated after a crash; the newest record of an id counts."""
        return ids.root("step", self.run_id, self.role.value, self.round, self.step)
