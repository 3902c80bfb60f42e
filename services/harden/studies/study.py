"""A study is one YAML file: a base experiment, arms that change it, worlds, seeds and what is measured.

    base: demo                      an experiment that ships, or a path beside the study
    changes: {side_run: null}       of every arm; a key may be dotted: `attacker.steps: 0`
    reference: shipped              the arm that the others are compared with
    arms:
      shipped: {title: as shipped}
      attacker_frozen: {title: attacker frozen, changes: {attacker.steps: 0}}

A job is one arm in one world with one seed. Nothing is compared across worlds or seeds: every difference is between two arms
in the same world with the same seed.
"""

import copy
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harden.domain.errors import SetupError
from harden.studies.measures import MEASURE
from harden.trainer import experiment as experiments
from harden.trainer.experiment import Experiment

NAME = r"^[a-z][a-z0-9_]{0,63}$"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Arm(_Part):
    """One version of the experiment."""

    title: str = Field(min_length=1)
    """What tables call it."""
    changes: dict[str, Any] = Field(default_factory=dict)
    """Keys of the base experiment, dotted, and their values in this arm. A list replaces the whole list."""


class Study(_Part):
    """The whole file."""

    name: str = Field(pattern=NAME)
    """Name of the study."""
    base: str = Field(min_length=1)
    """The experiment that the arms change: the name of one that ships, or a path relative to this file."""
    worlds: tuple[str, ...] = Field(min_length=1)
    """Worlds in which every arm is played."""
    seeds: tuple[int, ...] = Field(min_length=2)
    """Random seeds with which every arm is played in each world."""
    changes: dict[str, Any] = Field(default_factory=dict)
    """Changes of all arms."""
    arms: dict[str, Arm] = Field(min_length=1)
    """The arms by name, in the order of the tables."""
    reference: str
    """The arm that the others are compared with."""
    measures: dict[str, str] = Field(min_length=1)
    """What is measured, in the order of the tables: a path into the report of a run, such as `attack_success.trained` of the
    last round or `best_response.trained.after`, and its title."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.reference not in self.arms:
            raise ValueError(f"reference: there is no arm {self.reference!r}; arms are {', '.join(self.arms)}")
        wrong = [name for name in self.arms if not re.match(NAME, name)]
        if wrong:
            raise ValueError(f"arms: {', '.join(wrong)}: a name is lower-case letters, digits and underscores")
        unknown = [path for path in self.measures if not re.match(MEASURE, path)]
        if unknown:
            raise ValueError(f"measures: {', '.join(unknown)}: a path is two or three names with dots between")
        for name in ("worlds", "seeds"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name}: one of them stands there twice")
        return self


@dataclass(frozen=True, slots=True)
class Job:
    """One run: its place below the study's directory, and its experiment."""

    arm: str
    world: str
    seed: int
    experiment: Experiment

    @property
    def path(self) -> Path:
        return Path(self.arm) / f"{self.world}-{self.seed}"


@dataclass(frozen=True, slots=True)
class Planned:
    """A study and its jobs. `protocol` is the digest of the study's file and its base, which are fixed before the first run."""

    study: Study
    protocol: str
    jobs: tuple[Job, ...]


def load(path: Path) -> Planned:
    """Raises SetupError with one line for each thing that is wrong, in any arm."""
    text, data = _read(path, "the study")
    try:
        study = Study.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors())
        raise SetupError(f"{path}: {problems}; see experiments/ablations.yaml for an example") from error
    home = path.parent / study.base if study.base.endswith((".yaml", ".yml")) else experiments.shipped(study.base)
    base_text, base = _read(home, "the base experiment")
    protocol = "sha256:" + hashlib.sha256(text + b"\0" + base_text).hexdigest()
    jobs = tuple(
        _job(study, base, name, arm, world, seed, path)
        # Arms of one world and seed beside each other: what is compared ran in the same hour.
        for seed in study.seeds
        for world in study.worlds
        for name, arm in study.arms.items()
    )
    return Planned(study, protocol, jobs)


def _job(study: Study, base: Mapping[str, Any], name: str, arm: Arm, world: str, seed: int, path: Path) -> Job:
    where = f"{path}, arm {name}"
    content = changed(base, {**study.changes, **arm.changes}, where)
    content |= {"name": f"{study.name}-{name}".replace("_", "-"), "world": world, "seed": seed}
    return Job(name, world, seed, experiments.parse(content, where))


def changed(base: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A copy of the base in which each dotted key has its new value. Raises SetupError where a key leads into a value."""
    content: dict[str, Any] = copy.deepcopy(dict(base))
    for key, value in changes.items():
        *parents, last = key.split(".")
        part = content
        for parent in parents:
            inner = part.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise SetupError(f"{where}: {key}: {parent} has no keys of its own; change {parent} as a whole")
            part = inner
        part[last] = copy.deepcopy(value)
    return content


def _read(path: Path, what: str) -> tuple[bytes, dict[str, Any]]:
    try:
        text = path.read_bytes()
        data = yaml.safe_load(text)
    except OSError as error:
        raise SetupError(f"cannot read {what} {path}: {error.strerror}; give the path of a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SetupError(f"{path} is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(data, dict):
        raise SetupError(f"{path}: {what} is a YAML mapping; see experiments/ for examples")
    return text, data
