"""The bout: one seed, A attacks on it, R responses to each, and their verdicts. The unit that travels the ring.

    Bout  --attacker-->  AttackedBout  --defender_inference-->  SampledBout  --judge-->  JudgedBout

Each stage holds the one before it whole, so no reader ever joins, waits or asks back.
"""

from dataclasses import dataclass
from enum import StrEnum

from harden.domain import ids
from harden.domain.completion import Sampling
from harden.domain.policy import PolicyRef
from harden.domain.seed import Seed


class Role(StrEnum):
    """Who learns from a bout, and whose policy something is."""

    ATTACKER = "attacker"
    DEFENDER = "defender"


class Purpose(StrEnum):
    TRAIN = "train"
    EVALUATE = "evaluate"
    GATE = "gate"


class AttackSource(StrEnum):
    POLICY = "policy"  # sampled from the attacker slot
    TRANSFORM = "transform"  # the seed through a known disguise
    RECORDED = "recorded"  # given in the bout: replay of an old attack, an evaluation suite, an imported corpus
    DIRECT = "direct"  # the seed itself


@dataclass(frozen=True, slots=True)
class RecordedAttack:
    """An attack somebody already has. Text may carry `<image>...</image>` markup, which the attacker service renders."""

    text: str
    family: str = ""
    parent_attack_id: str | None = None


@dataclass(frozen=True, slots=True)
class AttackPlan:
    source: AttackSource
    num_attacks: int
    sampling: Sampling | None = None  # POLICY only
    recorded: tuple[RecordedAttack, ...] = ()  # RECORDED only, `num_attacks` of them

    def __post_init__(self) -> None:
        if self.num_attacks < 1:
            raise ValueError(f"a bout needs at least one attack, not {self.num_attacks}")
        if (self.source is AttackSource.POLICY) != (self.sampling is not None):
            raise ValueError(f"an attack plan has sampling exactly when its source is policy, not {self.source}")
        if len(self.recorded) != (self.num_attacks if self.source is AttackSource.RECORDED else 0):
            raise ValueError(f"{self.source} plan of {self.num_attacks} attacks brings {len(self.recorded)} recorded ones")


@dataclass(frozen=True, slots=True)
class Bout:
    """What the trainer asks for. `learner` is None where nobody learns from it (evaluation, gate)."""

    bout_id: str
    run_id: str
    purpose: Purpose
    learner: Role | None
    round: int
    step: int
    # What the bout counts towards: the name of a training source ("attack", "ordinary") or of an evaluation suite.
    suite: str
    seed: Seed
    attack_plan: AttackPlan
    num_responses: int
    response_sampling: Sampling
    # The newest policies when the bout was scheduled; what really answered stands in each completion.
    attacker: PolicyRef
    defender: PolicyRef

    @property
    def random_seed(self) -> int:
        return ids.random_seed(self.bout_id)
