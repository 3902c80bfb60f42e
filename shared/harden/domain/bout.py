"""The bout: one seed, A attacks on it, R responses to each, and their verdicts. The unit that travels the ring.

    Bout  --attacker-->  AttackedBout  --defender_inference-->  SampledBout  --judge-->  JudgedBout
                ^                                                                 |
                +------------------------- ContinuedBout <------------------------+   while turns are left

Each stage holds the one before it whole, so no reader ever joins, waits or asks back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from harden.domain import ids
from harden.domain.completion import Sampling
from harden.domain.policy import PolicyRef
from harden.domain.seed import Seed

# A conversation of this many exchanges fills the context of the models that play; the wire holds no more either.
MAX_TURNS = 16
DEFAULT_PANEL = "default"


class Role(StrEnum):
    """The two players; also names the policy of each."""

    ATTACKER = "attacker"
    DEFENDER = "defender"


class Purpose(StrEnum):
    TRAIN = "train"
    EVALUATE = "evaluate"
    GATE = "gate"


class Strategy:
    """Names of strategies that the plan of a bout has rules for. Any plug-in of `harden.strategies` may be named."""

    POLICY = "policy"  # sampled from the attacker slot
    TRANSFORM = "transform"  # the seed through a known disguise
    RECORDED = "recorded"  # given in the bout: replay of an old attack, an evaluation suite, an imported corpus
    DIRECT = "direct"  # the seed itself


# A setting of a strategy for one bout. Numbers are double precision on the wire: 3 comes back as 3.0.
Parameter = str | float | bool


@dataclass(frozen=True, slots=True)
class RecordedAttack:
    """An attack that exists already. Text may carry `<image>...</image>` markup, which the attacker service renders."""

    text: str
    family: str = ""
    parent_attack_id: str | None = None


@dataclass(frozen=True, slots=True)
class AttackPlan:
    """How a bout is attacked: `num_attacks` attacks in each of `turns` turns, made by the strategy of that name.

    `sampling` is how the strategy draws from the attacker policy; without it, it may not ask the policy. `recorded` holds
    attacks that are given, `num_attacks` of them or none. `parameters` are understood by the strategy alone.
    """

    strategy: str
    num_attacks: int
    sampling: Sampling | None = None
    recorded: tuple[RecordedAttack, ...] = ()
    turns: int = 1
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.num_attacks < 1:
            raise ValueError(f"a bout needs at least one attack, not {self.num_attacks}")
        if not 1 <= self.turns <= MAX_TURNS:
            raise ValueError(f"a bout has from 1 to {MAX_TURNS} turns, not {self.turns}")
        if self.strategy == Strategy.POLICY and self.sampling is None:
            raise ValueError("an attack plan of the strategy policy needs sampling")
        if len(self.recorded) != self.num_attacks and (self.recorded or self.strategy == Strategy.RECORDED):
            raise ValueError(f"{self.strategy} plan of {self.num_attacks} attacks brings {len(self.recorded)} recorded ones")


@dataclass(frozen=True, slots=True)
class Bout:
    """What the trainer asks for. `learners` is empty for a bout that is not trained on (evaluation, gate)."""

    bout_id: str
    run_id: str
    purpose: Purpose
    learners: tuple[Role, ...]
    round: int
    step: int
    # What the bout counts towards: the name of a mixture component of a training step or of an evaluation suite.
    suite: str
    seed: Seed
    attack_plan: AttackPlan
    num_responses: int  # to each attack of each turn; 0 where the defender is not asked
    response_sampling: Sampling
    # The newest policies when the bout was scheduled; each completion names the policy that answered.
    attacker: PolicyRef
    defender: PolicyRef
    panel: str = DEFAULT_PANEL  # of the judge's settings

    def __post_init__(self) -> None:
        if self.num_responses < 0:
            raise ValueError(f"num_responses must not be negative, not {self.num_responses}; 0 asks for none")
        if len(set(self.learners)) != len(self.learners):
            raise ValueError(f"learners names a role twice: {', '.join(self.learners)}")

    @property
    def random_seed(self) -> int:
        return ids.random_seed(self.bout_id)
