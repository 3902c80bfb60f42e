"""DPO on pairs: the best against the worst sample of each group of the game, and pairs given in a file (objectives/dpo.py).

A pairs file is JSONL, one object a line: {"prompt": text, "chosen": text, "rejected": text}.
"""

import dataclasses
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harden import plugins
from harden.config import Section
from harden.domain import ids
from harden.domain.bout import Bout
from harden.domain.conversation import Conversation
from harden.domain.errors import SetupError
from harden.serving.ports import Prompt
from harden.trainer.algorithms.grpo import Component, GroupPlay, PlaySettings
from harden.trainer.algorithms.ports import BoutRequest, Equipment, StepContext
from harden.trainer.objectives.dpo import DPOSettings
from harden.trainer.objectives.ports import Objective, Sample, SampleGroup, Term

PREFERENCE = "preference"


class PairsFile(Section):
    """Given pairs."""

    path: Path
    """A JSONL file of objects with `prompt`, `chosen` and `rejected`."""
    per_step: int = Field(ge=1)
    """Pairs in each step, drawn anew for each; all of them where the file has fewer."""


class DPOAlgorithmSettings(PlaySettings):
    """DPO: pairs of the game, of a file, or of both."""

    bouts_per_step: int = Field(default=0, ge=0)
    """Bouts in one step; 0 trains on the file alone."""
    num_attacks: int = Field(default=1, ge=1)
    """Attacks in each bout; the attacker's group."""
    num_responses: int = Field(default=8, ge=1)
    """Responses to each attack; the defender's group."""
    mix: tuple[Component, ...] = ()
    """What the bouts are."""
    pairs: PairsFile | None = None
    """Given pairs. None trains on the game alone."""
    objective: DPOSettings = DPOSettings()
    """The loss."""

    @model_validator(mode="after")
    def _has_pairs(self) -> "DPOAlgorithmSettings":
        if self.bouts_per_step and not self.mix:
            raise ValueError("a step with bouts needs a mix; give `mix`, or set `bouts_per_step` to 0")
        if not self.bouts_per_step and self.pairs is None:
            raise ValueError("there is no training data; give `bouts_per_step` and `mix`, or `pairs`")
        return self


class Pair(BaseModel):
    """A line of a pairs file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str = Field(min_length=1)
    chosen: str
    rejected: str

    @model_validator(mode="after")
    def _differ(self) -> "Pair":
        if self.chosen == self.rejected:
            raise ValueError("chosen and rejected are the same text")
        return self


class DPO(GroupPlay):
    Settings: ClassVar[type[DPOAlgorithmSettings]] = DPOAlgorithmSettings

    def __init__(self, settings: DPOAlgorithmSettings, equipment: Equipment) -> None:
        super().__init__(settings, equipment)
        self._objective: Objective = plugins.load(plugins.OBJECTIVES, "dpo")(settings.objective)
        self._per_step = settings.pairs.per_step if settings.pairs else 0
        self._given = read_pairs(settings.pairs.path) if settings.pairs else []

    def bouts(self, request: BoutRequest) -> list[Bout]:
        return super().bouts(request) if self.settings.bouts_per_step else []

    def game_terms(self, groups: Sequence[SampleGroup], context: StepContext) -> list[Term]:
        played = [pair for i, group in enumerate(groups) if (pair := best_against_worst(group, f"game-{i}"))]
        return [Term(self._objective, [*played, *self._drawn(context)])]

    def _drawn(self, context: StepContext) -> list[SampleGroup]:
        """Of the file; the same each time the step is asked for."""
        step_id = ids.root(context.run_id, context.round, self.equipment.role, context.step)
        rng = random.Random(ids.random_seed(ids.child(step_id, "pairs", 0)))
        return [
            SampleGroup(
                Prompt(Conversation.of_user(pair.prompt)),
                (
                    Sample(text=pair.chosen, rewards={PREFERENCE: 1.0}, pair=f"given-{i}", origin="pairs"),
                    Sample(text=pair.rejected, rewards={PREFERENCE: 0.0}, pair=f"given-{i}", origin="pairs"),
                ),
            )
            for i, pair in enumerate(rng.sample(self._given, min(self._per_step, len(self._given))))
        ]


def best_against_worst(group: SampleGroup, name: str) -> SampleGroup | None:
    """The first of the best and the first of the worst, as a pair; None where all rewards are equal."""
    best = max(group.samples, key=lambda sample: sample.reward)
    worst = min(group.samples, key=lambda sample: sample.reward)
    if best.reward == worst.reward:
        return None
    return SampleGroup(group.prompt, (dataclasses.replace(best, pair=name), dataclasses.replace(worst, pair=name)))


def read_pairs(path: Path) -> list[Pair]:
    """Raises SetupError naming the file and the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SetupError(f"cannot read the pairs file {path}: {error.strerror}; give the path of a JSONL file") from error
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            pairs.append(Pair.model_validate(json.loads(line)))
        except (json.JSONDecodeError, ValidationError) as error:
            problem = str(error) if isinstance(error, json.JSONDecodeError) else error.errors()[0]["msg"]
            raise SetupError(
                f'{path}, line {number}: {problem}; a line is {{"prompt": ..., "chosen": ..., "rejected": ...}}'
            ) from error
    if not pairs:
        raise SetupError(f"the pairs file {path} has no pair")
    return pairs
