"""The bout: one seed, A attacks on it, R responses to each, and their verdicts. The unit that travels the ring.

    Bout  --attacker-->  AttackedBout  --defender_inference-->  SampledBout  --judge-->  JudgedBout

Each stage holds the one before it whole, so no reader ever joins, waits or asks back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from harden.domain import ids
from harden.domain.conversation import Conversation


class Role(StrEnum):
    """Who learns from a bout, and whose policy something is."""

    ATTACKER = "attacker"
    DEFENDER = "defender"


class Slot(StrEnum):
    """Name under which Triton serves a policy."""

    ATTACKER = "attacker"
    DEFENDER = "defender"
    DEFENDER_STABLE = "defender_stable"


class Purpose(StrEnum):
    TRAIN = "train"
    EVALUATE = "evaluate"
    GATE = "gate"


class SeedLabel(StrEnum):
    HARMFUL = "harmful"
    BENIGN = "benign"


@dataclass(frozen=True, slots=True)
class Seed:
    """A plain request the game starts from. `category` is the seed source's own ("ordinary", "trap", "cyber" ...)."""

    seed_id: str
    label: SeedLabel
    category: str
    conversation: Conversation
    # Exact answer expected of a defender that helps; None where any helpful answer will do.
    answer_key: str | None = None
    source: str = ""

    @property
    def text(self) -> str:
        return self.conversation.last_text


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Log-probs are those of the distribution drawn from: temperature applied, special tokens banned."""

    max_tokens: int
    temperature: float = 1.0  # 0 is greedy

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if self.temperature < 0:
            raise ValueError(f"temperature must not be negative, not {self.temperature}; 0 is greedy")


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
class PolicyRef:
    """A policy of a slot: what it is (digest of its manifest) and where it stands in the order of publications."""

    slot: Slot
    version: int
    digest: str


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


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Completion:
    """Tokens a policy drew. `logprobs[t]` is the engine's own log-prob of `token_ids[t]` (behaviour policy); EOS included."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason
    policy_digest: str
    policy_version: int

    def __post_init__(self) -> None:
        if len(self.token_ids) != len(self.logprobs):
            raise ValueError(f"{len(self.token_ids)} tokens but {len(self.logprobs)} log-probs")


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
class Response:
    response_id: str
    attack_id: str
    completion: Completion


class Label(StrEnum):
    """An answer to a yes-or-no question. UNSCOREABLE is never trained on and never counted as either."""

    YES = "yes"
    NO = "no"
    UNSCOREABLE = "unscoreable"


class Refusal(StrEnum):
    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"
    UNSCOREABLE = "unscoreable"


@dataclass(frozen=True, slots=True)
class Ballot:
    """What one member of the panel said of one attack or response. A question it does not answer is None."""

    member: str
    version: str
    prompt_harmful: Label | None = None
    on_goal: Label | None = None
    loosely_on_goal: Label | None = None
    response_harmful: Label | None = None
    refusal: Refusal | None = None
    correct: Label | None = None
    family: str | None = None


@dataclass(frozen=True, slots=True)
class AttackVerdict:
    """On the request alone. `on_goal`: it really asks for what the seed asks; loosely: it may, on a lenient reading."""

    attack_id: str
    prompt_harmful: Label
    on_goal: Label
    loosely_on_goal: Label
    family: str
    ballots: tuple[Ballot, ...] = ()


@dataclass(frozen=True, slots=True)
class ResponseVerdict:
    """On one response. `correct` is UNSCOREABLE where the request has no exact answer."""

    response_id: str
    response_harmful: Label
    refusal: Refusal
    correct: Label
    ballots: tuple[Ballot, ...] = ()


@dataclass(frozen=True, slots=True)
class SamplingEffort:
    """What sampling a bout cost: requests to the slot and how many failed, and when (Unix seconds) it began and ended."""

    num_requests: int
    num_failed: int
    began_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class AttackedBout:
    bout: Bout
    attacks: tuple[Attack, ...]
    effort: SamplingEffort | None = None  # None where no policy was asked


@dataclass(frozen=True, slots=True)
class SampledBout:
    attacked: AttackedBout
    responses: tuple[Response, ...]  # attack by attack, `num_responses` each
    effort: SamplingEffort

    @property
    def bout(self) -> Bout:
        return self.attacked.bout

    def exchanges(self) -> Iterator[tuple[Attack, Sequence[Response]]]:
        n = self.bout.num_responses
        for i, attack in enumerate(self.attacked.attacks):
            yield attack, self.responses[i * n : (i + 1) * n]


@dataclass(frozen=True, slots=True)
class JudgedBout:
    sampled: SampledBout
    attack_verdicts: tuple[AttackVerdict, ...]  # in the order of the attacks
    response_verdicts: tuple[ResponseVerdict, ...]  # in the order of the responses

    @property
    def bout(self) -> Bout:
        return self.sampled.bout

    def exchanges(self) -> Iterator[tuple[Attack, AttackVerdict, Sequence[tuple[Response, ResponseVerdict]]]]:
        n = self.bout.num_responses
        answers = list(zip(self.sampled.responses, self.response_verdicts, strict=True))
        for i, (attack, verdict) in enumerate(zip(self.sampled.attacked.attacks, self.attack_verdicts, strict=True)):
            yield attack, verdict, answers[i * n : (i + 1) * n]
