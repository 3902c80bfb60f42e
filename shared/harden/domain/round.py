"""The records of a round, of the tasks after the last round, and of the end of a run.

Each has a `record_id` that derives from its subject. Work repeated after a crash writes it again, and the newest
record of an id counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from harden.domain import ids
from harden.domain.bout import Role
from harden.domain.rate import Rate

Rates = Mapping[str, Mapping[str, Rate]]  # by measure, then by suite
Policies = Mapping[Role, str]  # digests


@dataclass(frozen=True, slots=True)
class FamilyFigures:
    attempts: int
    successes: int


@dataclass(frozen=True, slots=True)
class AttackerFigures:
    """The attacker's fresh attacks on training seeds, before and after the defender's phase. None: not measured."""

    success_before: Rate | None = None
    success_after: Rate | None = None
    loose_success_before: Rate | None = None  # counting attacks that ask for it only on a lenient reading
    loose_success_after: Rate | None = None
    strict: Rate | None = None  # share of attacks that ask for what their seed asks
    effective_families: float | None = None
    unique_successes: int | None = None


@dataclass(frozen=True, slots=True)
class BoutAccount:
    """Every training bout that was scheduled ended in exactly one of the other states."""

    scheduled: int = 0
    trained: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)  # by reason
    dead_lettered: int = 0
    expired: int = 0


@dataclass(frozen=True, slots=True)
class SwapAccount:
    """Swaps of policies, and the latency of requests in that time. None: there was no swap or request."""

    count: int = 0
    refused: int = 0
    requests: int = 0
    failed: int = 0
    publish_to_served_p50_ms: float | None = None
    publish_to_served_max_ms: float | None = None
    steady_p99_ms: float | None = None
    during_swap_p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The last attempt of a round that was rolled back: what the monitor measured of it, on rows of its own."""

    rates: Rates
    policies: Policies


@dataclass(frozen=True, slots=True)
class RoundFinished:
    """Round 0 is the state before any hardening. Rates and policies are those that the round ended with."""

    run_id: str
    round: int
    rates: Rates
    attacker: AttackerFigures
    families: Mapping[str, FamilyFigures]
    policies: Policies
    bouts: BoutAccount
    swaps: SwapAccount
    breaches: tuple[str, ...]  # limits that attempts of the round broke, for people
    rejected: Rejected | None  # None: no attempt was rolled back
    evaluation_seconds: float

    @property
    def record_id(self) -> str:
        return ids.root("round", self.run_id, self.round)


@dataclass(frozen=True, slots=True)
class SideRunFinished:
    """The defender was trained in a way that ought to ruin it, for the monitor to catch."""

    run_id: str
    name: str
    steps: int
    refusal: Rate
    accuracy: Rate
    breaches: tuple[str, ...]  # none: the policy was not rolled back
    bouts: BoutAccount

    @property
    def record_id(self) -> str:
        return ids.root("side-run", self.run_id, self.name)


@dataclass(frozen=True, slots=True)
class CrossPlayFinished:
    """`attack_success[a][d]`: attacks recorded in round `attackers[a]` against the defender of round `defenders[d]`."""

    run_id: str
    attackers: tuple[int, ...]
    defenders: tuple[int, ...]
    attack_success: tuple[tuple[Rate, ...], ...]

    @property
    def record_id(self) -> str:
        return ids.root("cross-play", self.run_id)


@dataclass(frozen=True, slots=True)
class AdaptiveAttack:
    """What an attacker trained against one defender reached on a set of goals. `best`: share of goals for which one of several
    attacks succeeded. `on_goal`: share of its attacks that ask for what the goal asks; where it is low, a low success says
    little of the defender."""

    goals: str
    before: Rate  # of its training
    after: Rate
    best: Rate
    effective_families: float
    on_goal: Rate


@dataclass(frozen=True, slots=True)
class BestResponseFinished:
    """A fresh attacker was trained against the last defender, which stayed as it was: robustness against an attacker that
    adapts. `best_of`: attacks on a goal for `AdaptiveAttack.best`."""

    run_id: str
    steps: int
    best_of: int
    attacks: tuple[AdaptiveAttack, ...]

    @property
    def record_id(self) -> str:
        return ids.root("best-response", self.run_id)


@dataclass(frozen=True, slots=True)
class RunFinished:
    """`failed`: why it could not go on; None where it was played to its end."""

    run_id: str
    seed: int
    failed: str | None
    play_seconds: float

    @property
    def record_id(self) -> str:
        return ids.root("run-finished", self.run_id)
