"""An experiment is one YAML file: policies, schedule, algorithms, monitor. Unknown keys are errors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

import harden
from harden import plugins
from harden.domain import ids
from harden.domain.bout import DEFAULT_PANEL, Role
from harden.domain.completion import Sampling
from harden.domain.errors import SetupError
from harden.domain.policy import SLOT_PATTERN, Slot
from harden.trainer.core.monitor import Limits
from harden.trainer.core.schedule import Lengths
from harden.trainer.learner.settings import LearnerSettings
from harden.worlds.registry import DEFAULT, check_installed


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PolicySource(_Part):
    """Where a policy starts from."""

    # A Hugging Face directory, or `<world>:<name>` for a checkpoint that ships with a world.
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
    """Left alone: the checkpoints `attacker` and `defender` that ship with the world."""

    attacker: PolicySource | None = None
    defender: PolicySource | None = None
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


class SamplingSettings(_Part):
    max_tokens: int = Field(ge=1)
    temperature: float = Field(1.0, ge=0)

    def sampling(self) -> Sampling:
        return Sampling(self.max_tokens, self.temperature)


class AlgorithmChoice(BaseModel):
    """An algorithm by name, and its settings under that name: `algorithm: grpo` and `grpo: {...}`.

    The settings are those of the plug-in (group `harden.algorithms`); no other key is known.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    algorithm: str = Field("grpo", min_length=1)

    @property
    def settings(self) -> Any:
        """What the plug-in is made with."""
        return (self.model_extra or {})[self.algorithm]

    @model_validator(mode="wrap")
    @classmethod
    def _with_settings(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, dict):
            return handler(data)
        name = data.get("algorithm", cls.model_fields["algorithm"].default)
        if not isinstance(name, str) or not name:
            return handler(data)
        try:
            kind = plugins.load(plugins.ALGORITHMS, name)
        except SetupError as error:
            raise _errors(cls, [("algorithm", PydanticCustomError("plug_in", "{said}", {"said": str(error)}), name)]) from error
        unknown = sorted(data.keys() - cls.model_fields.keys() - {name})
        if unknown:
            raise _errors(cls, [(key, "extra_forbidden", data[key]) for key in unknown])
        try:
            settings = kind.Settings.model_validate(data.get(name, {}))
        except ValidationError as error:
            raise _under(cls, name, error) from error
        return handler({**data, name: settings})


def _errors(model: type[BaseModel], problems: Sequence[tuple[str, Any, Any]]) -> ValidationError:
    """Each problem is a key, what is wrong with it, and its value."""
    details = [InitErrorDetails(type=kind, loc=(key,), input=value) for key, kind, value in problems]
    return ValidationError.from_exception_data(model.__name__, details)


def _under(model: type[BaseModel], key: str, error: ValidationError) -> ValidationError:
    """The same errors, one level deeper."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError("setting", "{said}", {"said": one["msg"]}), loc=(key, *one["loc"]), input=one["input"]
        )
        for one in error.errors()
    ]
    return ValidationError.from_exception_data(model.__name__, details)


class RolePart(AlgorithmChoice):
    """A player: how many steps a phase has, what it learns by, and how its policy is updated."""

    steps: int = Field(ge=0)
    learner: LearnerSettings = LearnerSettings()


class Sides(_Part):
    attack: SamplingSettings = SamplingSettings(max_tokens=48)
    response: SamplingSettings = SamplingSettings(max_tokens=8)


class MonitorLimits(_Part):
    """What a round may not do; None switches a rule off (SecTOW's quality monitor)."""

    max_refusal_ordinary: float | None = Field(0.15, ge=0, le=1)
    min_accuracy_ordinary: float | None = Field(0.85, ge=0, le=1)
    max_zero_variance: float | None = Field(0.98, ge=0, le=1)

    def limits(self) -> Limits:
        return Limits(**self.model_dump())


class Measure(_Part):
    """How the attacker is measured: `seeds` seeds of attacked categories with `attacks_per_seed` fresh attacks each."""

    seeds: int = Field(16, ge=1)
    attacks_per_seed: int = Field(16, ge=1)


class ArmPart(AlgorithmChoice):
    """A short training of the first defender by another recipe, to see the monitor catch it."""

    steps: int = Field(ge=1)


class Evaluation(_Part):
    """How many rows a suite has at least: in the first and the last round, and in those between, of which less is asked."""

    rows: int = Field(300, ge=1)
    # None: as many.
    rows_between: int | None = Field(None, ge=1)


class Experiment(_Part):
    """The whole file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    seed: int = Field(0, ge=0, lt=2**31)
    # Name of an installed world.
    world: Annotated[str, AfterValidator(check_installed)] = DEFAULT
    # Which panel of the judge's settings decides every bout.
    panel: str = Field(DEFAULT_PANEL, pattern=r"^[a-z][a-z0-9_-]{0,63}$")
    policies: Policies = Policies()
    schedule: Schedule = Schedule()
    sampling: Sides = Sides()
    defender: RolePart
    attacker: RolePart
    monitor: MonitorLimits = MonitorLimits()
    measure: Measure = Measure()
    evaluation: Evaluation = Evaluation()
    # None: no arm.
    monitor_arm: ArmPart | None = None
    matrix: bool = False

    @property
    def lengths(self) -> Lengths:
        return Lengths(
            rounds=self.schedule.rounds,
            defender_steps=self.defender.steps,
            attacker_steps=self.attacker.steps,
            publish_every=self.schedule.publish_every,
            arm_steps=self.monitor_arm.steps if self.monitor_arm else 0,
            matrix=self.matrix,
        )

    def policy_source(self, role: Role) -> str:
        source = self.policies.defender if role is Role.DEFENDER else self.policies.attacker
        return source.directory if source else f"{self.world}:{role}"

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


def run_id_of(experiment: Experiment) -> str:
    """Playing the same experiment again with the same seed is the same run."""
    return ids.root("run", experiment.name, experiment.seed)
