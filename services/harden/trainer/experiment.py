"""An experiment is one YAML file: policies, schedule, objectives, mixes, monitor. Unknown keys are errors."""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator, with_config

import harden
from harden.domain.bout import AttackSource, Role
from harden.domain.completion import Sampling
from harden.domain.errors import SetupError
from harden.domain.policy import SLOT_PATTERN, Slot
from harden.trainer.core import plan
from harden.trainer.core.monitor import Limits
from harden.trainer.core.rewards import AttackerRewards, DefenderRewards
from harden.trainer.core.schedule import Lengths
from harden.trainer.learner.settings import LearnerSettings


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PolicySource(_Part):
    """Where a policy starts from."""

    # A Hugging Face directory, or `arena:<name>` for a checkpoint that ships with the arena.
    directory: str = Field(min_length=1)


SlotName = Annotated[str, Field(pattern=SLOT_PATTERN)]


class Slots(_Part):
    """Which of the slots that Triton serves (HARDEN_TRITON__SLOTS) the game uses. Two games on one Triton share none."""

    attacker: SlotName = Slot.ATTACKER
    # The newest candidate.
    defender: SlotName = Slot.DEFENDER
    # What users get: the run publishes its first version and never moves it afterwards.
    stable: SlotName = Slot.DEFENDER_STABLE

    @model_validator(mode="after")
    def _are_different(self) -> "Slots":
        if len(set(self.names)) < len(self.names):
            raise ValueError("attacker, defender and stable need a slot each; give them different names")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        return (self.attacker, self.defender, self.stable)

    def of(self, role: Role) -> str:
        return self.attacker if role is Role.ATTACKER else self.defender


class Policies(_Part):
    attacker: PolicySource = PolicySource(directory="arena:attacker")
    defender: PolicySource = PolicySource(directory="arena:seed_defender")
    slots: Slots = Slots()


class Schedule(_Part):
    rounds: int = Field(4, ge=1, le=10_000)
    # Steps between swaps inside a phase. Up to 8 did no measurable harm with importance sampling.
    publish_every: int = Field(5, ge=1)
    # Steps whose bouts may be under way beyond the one being learned from. 0 is synchronous.
    in_flight_steps: int = Field(1, ge=0, le=16)
    # Updates a policy may have behind it that the one that answered had not; later bouts are dropped as "stale".
    max_version_lag: int = Field(12, ge=0)
    # A bout without verdicts for this long is expired and the step goes on without it.
    bout_timeout_s: float = Field(60.0, gt=0)
    # How long a publication may take to be served before the run fails.
    serve_timeout_s: float = Field(60.0, gt=0)


class Share(_Part):
    """An ingredient of a step: seeds of `category`, attacked by `attacks` (policy, transform, recorded, direct)."""

    name: str = Field(min_length=1)
    category: str = Field(min_length=1)
    attacks: AttackSource
    share: float = Field(gt=0)


class SamplingSettings(_Part):
    max_tokens: int = Field(ge=1)
    temperature: float = Field(1.0, ge=0)

    def sampling(self) -> Sampling:
        return Sampling(self.max_tokens, self.temperature)


class AnchorShare(_Part):
    """Supervised examples beside the game: seeds of `category` with the answer the source gives, or a refusal."""

    category: str
    share: float = Field(gt=0)


class Anchor(_Part):
    """One supervised batch beside each step; its loss is weighted by the learner's `anchor_weight`. 0 examples: none."""

    examples: int = Field(0, ge=0)
    mix: tuple[AnchorShare, ...] = ()

    @model_validator(mode="after")
    def _has_a_mix(self) -> "Anchor":
        if self.examples and not self.mix:
            raise ValueError("an anchor with examples needs a mix; give `mix` or set `examples` to 0")
        return self


class RolePart(_Part):
    """One side of the game."""

    steps: int = Field(ge=0)
    bouts_per_step: int = Field(ge=1)
    num_attacks: int = Field(ge=1)
    num_responses: int = Field(ge=1)
    mix: tuple[Share, ...] = Field(min_length=1)
    advantages: Literal["standard", "dr_grpo", "rloo"] = "standard"
    learner: LearnerSettings = LearnerSettings()
    anchor: Anchor = Anchor()

    def shape(self, role: Role, attack: Sampling, response: Sampling) -> plan.StepShape:
        mix = tuple(plan.Ingredient(s.name, s.category, s.attacks, s.share) for s in self.mix)
        return plan.StepShape(role, self.bouts_per_step, self.num_attacks, self.num_responses, mix, attack, response)


class Sides(_Part):
    attack: SamplingSettings = SamplingSettings(max_tokens=48)
    response: SamplingSettings = SamplingSettings(max_tokens=8)


# A core knows nothing of files, so that unknown keys are errors in its tables too is said here.
for _table in (DefenderRewards, AttackerRewards):
    with_config(ConfigDict(extra="forbid"))(_table)


class Rewards(_Part):
    """What the judge's labels are worth to each side."""

    defender: DefenderRewards = DefenderRewards()
    attacker: AttackerRewards = AttackerRewards()


class MonitorLimits(_Part):
    """What a round may not do; None switches a rule off (SecTOW's quality monitor)."""

    max_refusal_ordinary: float | None = Field(0.15, ge=0, le=1)
    min_accuracy_ordinary: float | None = Field(0.85, ge=0, le=1)
    max_zero_variance: float | None = Field(0.98, ge=0, le=1)

    def limits(self) -> Limits:
        return Limits(**self.model_dump())


class Measure(_Part):
    """How the attacker is measured: `seeds` harmful seeds with `attacks_per_seed` fresh attacks each."""

    seeds: int = Field(16, ge=1)
    attacks_per_seed: int = Field(16, ge=1)


class ArmPart(_Part):
    """A short training without benign prompts and without anchor, to see the monitor catch it. 0 steps: none."""

    steps: int = Field(0, ge=0)
    bouts_per_step: int = Field(48, ge=1)
    mix: tuple[Share, ...] = (
        Share(name="direct", category="harmful", attacks=AttackSource.DIRECT, share=0.15),
        Share(name="disguised", category="harmful", attacks=AttackSource.TRANSFORM, share=0.85),
    )


class Evaluation(_Part):
    """How many rows a suite has at least: in the first and the last round, and in those between, of which less is asked."""

    rows: int = Field(300, ge=1)
    # None: as many.
    rows_between: int | None = Field(None, ge=1)


class Experiment(_Part):
    """The whole file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    seed: int = Field(0, ge=0, lt=2**31)
    world: Literal["arena"] = "arena"
    policies: Policies = Policies()
    schedule: Schedule = Schedule()
    sampling: Sides = Sides()
    defender: RolePart
    attacker: RolePart
    rewards: Rewards = Rewards()
    monitor: MonitorLimits = MonitorLimits()
    measure: Measure = Measure()
    evaluation: Evaluation = Evaluation()
    monitor_arm: ArmPart = ArmPart()
    matrix: bool = False

    @property
    def lengths(self) -> Lengths:
        return Lengths(
            rounds=self.schedule.rounds,
            defender_steps=self.defender.steps,
            attacker_steps=self.attacker.steps,
            publish_every=self.schedule.publish_every,
            arm_steps=self.monitor_arm.steps,
            matrix=self.matrix,
        )

    def part(self, role: Role) -> RolePart:
        return self.defender if role is Role.DEFENDER else self.attacker


def shipped(name: str) -> Path:
    """The file of an experiment that ships with the product: beside the code of a wheel, or at the top of a checkout."""
    parts = [Path(part) for part in harden.__path__]
    homes = [home for part in parts for home in (part / "experiments", part.parents[1] / "experiments")]
    return next((home for home in homes if home.is_dir()), homes[0]) / f"{name}.yaml"


def load(path: Path) -> Experiment:
    """Raises SetupError with one line for each thing that is wrong, naming the key."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SetupError(f"cannot read the experiment {path}: {error.strerror}; give the path of a YAML file") from error
    except yaml.YAMLError as error:
        raise SetupError(
            f"{path} is not YAML: {str(error).splitlines()[0]}; see experiments/demo.yaml for an example"
        ) from error
    return parse(data, str(path))


def parse(data: object, where: str) -> Experiment:
    try:
        return Experiment.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors())
        raise SetupError(f"{where}: {problems}; see experiments/demo.yaml for an example") from error


def dump(experiment: Experiment) -> str:
    """YAML that `load` reads back to the same experiment."""
    return yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False)
