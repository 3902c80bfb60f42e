"""The catalogue of topics. Every document, manifest, deployment and test is derived from it or checked against it."""

from dataclasses import dataclass
from enum import StrEnum

PREFIX = "harden"
MIB = 1024 * 1024
HOUR_MS = 3_600_000


class Kind(StrEnum):
    WORK = "work"  # consumed once by each reader, then old
    STATE = "state"  # compacted: the newest per key is what holds
    LOG = "log"  # kept without limit, for reports: a few kB a round


@dataclass(frozen=True, slots=True)
class Topic:
    """`events` are full protobuf names; a message of any other is poison. `key` describes the message key."""

    noun: str
    events: tuple[str, ...]
    key: str
    kind: Kind
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]
    num_partitions: int = 6
    retention_ms: int = 24 * HOUR_MS
    # A bout of 64 responses is about 15 kB; the limit leaves room for long answers while a broker's memory stays bounded.
    max_message_bytes: int = 4 * MIB

    @property
    def name(self) -> str:
        return f"{PREFIX}.{self.noun}.v1"

    @property
    def dead(self) -> str:
        """The topic for messages that a reader cannot use."""
        return f"{self.name}.dead"


SEEDS = Topic("seeds", ("harden.seed.v1.SeedSubmitted",), "seed_id", Kind.STATE, ("cli",), ("trainer",), num_partitions=1)
BOUTS = Topic(
    "bouts",
    ("harden.bout.v1.BoutScheduled", "harden.bout.v1.BoutContinued"),
    "bout_id",
    Kind.WORK,
    ("trainer", "judge"),
    ("attacker",),
)
ATTACKS = Topic("attacks", ("harden.attack.v1.AttacksGenerated",), "bout_id", Kind.WORK, ("attacker",), ("defender_inference",))
RESPONSES = Topic(
    "responses", ("harden.response.v1.ResponsesSampled",), "bout_id", Kind.WORK, ("defender_inference",), ("judge",)
)
VERDICTS = Topic("verdicts", ("harden.verdict.v1.VerdictsRendered",), "bout_id", Kind.WORK, ("judge",), ("trainer",))
POLICIES = Topic(
    "policies",
    ("harden.policy.v1.PolicyPublished", "harden.policy.v1.PolicyRetired"),
    "slot",
    Kind.STATE,
    ("trainer", "cli"),
    ("triton",),
    num_partitions=1,
)
SERVED = Topic(
    "served",
    ("harden.policy.v1.PolicyServed", "harden.policy.v1.PolicyRefused"),
    "slot/replica",
    Kind.STATE,
    ("triton",),
    ("trainer",),
    num_partitions=1,
)
STEPS = Topic("steps", ("harden.step.v1.StepFinished",), "run_id", Kind.LOG, ("trainer",), ("cli",), num_partitions=1)
ROUNDS = Topic(
    "rounds",
    (
        "harden.round.v1.RoundFinished",
        "harden.round.v1.SideRunFinished",
        "harden.round.v1.BestResponseFinished",
        "harden.round.v1.CrossPlayFinished",
        "harden.round.v1.RunFinished",
    ),
    "run_id",
    Kind.LOG,
    ("trainer",),
    ("cli",),
    num_partitions=1,
)

CATALOGUE: tuple[Topic, ...] = (SEEDS, BOUTS, ATTACKS, RESPONSES, VERDICTS, STEPS, ROUNDS, POLICIES, SERVED)
DEAD_LETTER_EVENT = "harden.deadletter.v1.DeadLettered"


def by_name(name: str) -> Topic:
    """The topic called `name`; KeyError where the catalogue has none."""
    return {topic.name: topic for topic in CATALOGUE}[name]
