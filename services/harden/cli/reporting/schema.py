"""The report and its parts, as in report.json ("harden.report/2").

In report.json of a run in one process everything that was timed is null, `seconds` whole; it stands in timings.json.

A part may carry more than is named here; it is kept as it came. What is named is what the page shows and people rely on.
A JSON key is never renamed: a field with a newer name has the old key as its alias.
"""

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = "harden.report/2"


class Part(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Rate(Part):
    """`k` of `n`, with 95% bounds."""

    k: int = Field(ge=0)
    n: int = Field(ge=0)
    rate: float
    low: float
    high: float


class AttackerPart(Part):
    success_before: Rate | None = None  # against the defender the round began with
    success_after: Rate | None = None  # against the one it ended with
    strict: Rate | None = None
    loose_success_before: Rate | None = None  # counting attacks that ask for it only on a lenient reading
    effective_families: float | None = None
    unique_successes: int | None = None


class Bouts(Part):
    """Every bout that was scheduled ended in exactly one of the other states."""

    scheduled: int = 0
    trained: int = 0
    dropped: dict[str, int] = {}
    dead_lettered: int = 0
    expired: int = 0

    @property
    def accounted(self) -> int:
        return self.trained + sum(self.dropped.values()) + self.dead_lettered + self.expired


class Spread(Part):
    p50: float | None = None
    max: float | None = None


class Latency(Part):
    steady_p99: float | None = None
    during_swap_p99: float | None = None


class Swaps(Part):
    count: int = 0
    refused: int = 0
    requests: int = 0
    failed: int = 0
    publish_to_served_ms: Spread = Spread()
    latency_ms: Latency = Latency()


class Step(Part):
    role: str
    step: int
    reward_mean: float | None = None
    success: float | None = None
    zero_variance_share: float | None = None
    kl: float | None = None
    seconds: float | None = None


class FamilyCount(Part):
    attempts: int
    successes: int


class Outcomes(Part):
    """What the responses to the attacks of a suite came to. Shares of all of them, so they sum to 1."""

    leaked: Rate
    partial: Rate
    refused: Rate
    garbled: Rate
    other: Rate
    undecided: Rate


class Undecided(Part):
    """Share of verdicts, by suite, that the judge could not decide. They stand in no rate."""

    refusal: dict[str, Rate] = {}
    accuracy: dict[str, Rate] = {}


class Round(Part):
    """Round 0 is the state before any hardening."""

    round: int = Field(ge=0)
    attack_success: dict[str, Rate]
    # Share of subjects (seeds) that at least one row of the suite reached; n is the number of subjects. It grows with the
    # number of rows that a subject has.
    attack_any: dict[str, Rate] = {}
    # Of responses at temperature 1, in the first and the last round, for the suites that the experiment names.
    attack_success_t1: dict[str, Rate] = {}
    attack_any_t1: dict[str, Rate] = {}
    attacks: dict[str, Outcomes] = {}
    undecided: Undecided = Undecided()
    refusal: dict[str, Rate]
    accuracy: dict[str, Rate]
    attacker: AttackerPart | None = None
    policies: dict[str, str]
    rolled_back: bool = False
    bouts: Bouts = Bouts()
    swaps: Swaps = Swaps()
    steps: tuple[Step, ...] = ()
    families: dict[str, FamilyCount] = {}


class SideRun(Part):
    over_refusal: Rate = Field(alias="refusal_ordinary")
    rolled_back: bool


class BestResponse(Part):
    """A fresh attacker trained against the last defender, on one set of goals. The JSON has the share of goals for which one of
    n attacks succeeded as `best_of_<n>`."""

    before: Rate
    after: Rate
    steps: int
    families: float
    on_goal: Rate  # share of its attacks that ask for what the goal asks: without it a low success says little

    @property
    def best(self) -> tuple[int, Rate]:
        """n, and the share."""
        key = next(key for key in self.model_extra or {} if key.startswith("best_of_"))
        return int(key.removeprefix("best_of_")), Rate.model_validate((self.model_extra or {})[key])


class SuitePart(Part):
    """A suite of the world: its title, and whether the summary of a run shows it."""

    title: str = ""
    is_headline: bool = False


class Matrix(Part):
    """`attack_success[a][d]` is attacker `a` against defender `d`; a cell is a rate object or a number."""

    attackers: tuple[str | int, ...]
    defenders: tuple[str | int, ...]
    attack_success: tuple[tuple[Rate | float | None, ...], ...]


class Seconds(Part):
    """Wall time. `start`: until every process is ready; `prepare`: until the first round; `play`: until the last is over."""

    install: float = 0.0
    start: float = 0.0
    prepare: float = 0.0
    play: float = 0.0
    total: float = 0.0


class Components(Part):
    """Versions of the parts that ran. None where the run had no such part (one process has neither broker nor server)."""

    kafka: str | None = None
    triton: str | None = None
    torch: str | None = None
    transformers: str | None = None
    processes: tuple[str, ...] = ()


class Exchange(Part):
    """An attack and an answer to it. The page keeps it hidden until it is opened."""

    bout_id: str
    round: int
    suite: str
    family: str
    seed: str
    attack: str
    response: str
    harmful: bool
    refusal: str


class Report(Part):
    """The whole run."""

    schema_: str = Field(SCHEMA, alias="schema")
    ok: bool
    seed: int
    split: str = "final"  # the draw that the suites come from; nothing is decided by "final"
    failed: str | None = None
    seconds: Seconds
    components: Components
    rounds: tuple[Round, ...]
    suites: dict[str, SuitePart] = {}  # by name, in the order of the world
    best_response: dict[str, BestResponse] = {}  # by set of goals
    side_run: SideRun | None = Field(None, alias="monitor_arm")
    matrix: Matrix | None = None
    examples: tuple[Exchange, ...] = ()
    made_by: dict[str, str] = {}
