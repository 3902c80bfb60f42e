"""A learner without a model, for tests of the trainer around it. tests/contract/learning/test_learner.py holds it to what the
real one promises."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from harden.serving.ports import Prompt
from harden.trainer.learner.batch import check, encoded
from harden.trainer.learner.report import NON_FINITE, StepReport
from harden.trainer.learner.settings import LearnerSettings
from harden.trainer.objectives.ports import Sample, Term, samples_of

# Padding and the begin of a text are never said; every answer ends with END.
BANNED, END, FIRST_WORD = frozenset({0, 1}), 2, 3
MODEL, STEP_COUNT = "model", "step_count"


@dataclass(frozen=True, slots=True)
class _Model:
    dtype: str = "float32"


class FakeLearner:
    """Its policy is two numbers: how many updates were made, and the sum of what their samples pulled.

    Objectives, which say what moves, are the real ones. The same steps give the same policy. A state belongs to one `name`.
    """

    def __init__(self, name: str = "fake") -> None:
        self.model = _Model()
        self.settings = LearnerSettings()
        self.step_count = 0
        self._name = name
        self._policy = torch.zeros(2, dtype=torch.float64)

    def step(self, terms: Sequence[Term], rate_factor: float = 1.0) -> StepReport:
        keys = [term.key for term in terms]
        if len(set(keys)) < len(keys):
            raise ValueError(f"the terms of a step need different names, not {keys}")
        groups = {term.key: encoded(term.groups, self.encode_answer) for term in terms}
        samples = {key: samples_of(its) for key, its in groups.items()}
        for term in terms:
            check(term, samples[term.key], BANNED)
        constants = {term.key: term.objective.constants(groups[term.key], self.step_count) for term in terms}
        moving = {
            key: [one for one, moves in zip(samples[key], constants[key].moves, strict=True) if moves and one.token_ids]
            for key in keys
        }
        pulls = {term.key: rate_factor * term.weight * sum(map(_pull, moving[term.key])) for term in terms if moving[term.key]}
        pull = sum(pulls.values())
        skipped = "" if math.isfinite(pull) else NON_FINITE
        moved = bool(pulls) and not skipped
        if moved:
            self._policy += torch.tensor([1.0, pull], dtype=torch.float64)
        self.step_count += 1
        every = [sample for its in samples.values() for sample in its]
        num_tokens = sum(len(sample.token_ids) for sample in every)
        return StepReport(
            step=self.step_count,
            moved=moved,
            skipped=skipped,
            loss=pull,
            grad_norm=abs(pull),
            terms={key: {"loss": pulls.get(key, 0.0), **constants[key].figures} for key in keys},
            num_groups=sum(map(len, groups.values())),
            num_samples=len(every),
            num_samples_trained=sum(map(len, moving.values())),
            num_tokens=num_tokens,
            num_positions=num_tokens,
            seconds=0.0,
        )

    def logprobs(self, prompts: Sequence[Prompt], token_ids: Sequence[Sequence[int]]) -> list[list[float]]:
        """Of the token and of the number of updates."""
        updates = int(self._policy[0])
        return [[-(1 + (token + updates) % 7) / 8 for token in ids] for _, ids in zip(prompts, token_ids, strict=True)]

    def encode_answer(self, text: str) -> list[int]:
        return [*(FIRST_WORD + sum(word.encode()) for word in text.split()), END]

    def weights(self) -> dict[str, torch.Tensor]:
        return {"policy": self._policy.clone()}

    def save_weights(self, path: Path) -> None:
        save_file(self.weights(), path, {"format": "pt"})

    def save_state(self, path: Path) -> None:
        counted = torch.tensor([self.step_count])
        save_file({**self.weights(), STEP_COUNT: counted}, path, {MODEL: self._name})

    def load_state(self, path: Path) -> None:
        try:
            with safe_open(path, framework="pt") as file:
                name = (file.metadata() or {}).get(MODEL)
                if name != self._name:
                    raise ValueError(f"{path} is the state of {name}, not of {self._name}")
                self._policy, self.step_count = file.get_tensor("policy"), int(file.get_tensor(STEP_COUNT))
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} is not the saved state of a learner: {error}") from error


def _pull(sample: Sample) -> float:
    return (2 + sample.reward) * sum(sample.token_ids)
