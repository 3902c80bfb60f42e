"""The learner: holds one policy and takes steps on weighted terms, each a set of samples under an objective."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from harden.serving.ports import Prompt
from harden.trainer.learner import lora, state
from harden.trainer.learner.batch import Part, PreparedTerm, check, encoded, part_of, whole_view
from harden.trainer.learner.layout import EncodedPrompt, Pass, Row, passes
from harden.trainer.learner.optimiser import Optimiser
from harden.trainer.learner.policy import (
    Reader,
    checkpoint_layers,
    freeze,
    full_tensors,
    load_model,
)
from harden.trainer.learner.reference import Reference
from harden.trainer.learner.report import NON_FINITE, StepReport
from harden.trainer.learner.scorer import Scorer
from harden.trainer.learner.settings import LearnerSettings
from harden.trainer.objectives.ports import Figures, Sample, SampleGroup, Term, samples_of

Form = Literal["full", "adapter"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(slots=True)
class _TermSums:
    """Of one term in one epoch."""

    loss: float = 0.0
    figures: Figures = field(default_factory=Figures)


class Learner:
    """One policy, its optimiser and, once an objective asks for it, the policy it began as. Used by one thread.

    `model` is the policy itself; after a step its gradients are the step's, clipped.
    """

    def __init__(self, model_dir: Path, settings: LearnerSettings, seed: int) -> None:
        if settings.num_threads:
            torch.set_num_threads(settings.num_threads)
        torch.manual_seed(seed)
        self.settings = settings
        self.step_count = 0
        self._device = torch.device(settings.device)
        self._reader = Reader(model_dir)
        self.model = load_model(model_dir, self._device, DTYPES[settings.dtype])
        if settings.lora:
            lora.add(self.model, settings.lora)
        freeze(self.model, settings.frozen)
        # It looks at how the model computes, which is the same with and without gradient checkpointing.
        self._scorer = Scorer(self.model, settings.layout, settings.max_logits)
        if settings.gradient_checkpointing:
            checkpoint_layers(self.model)
        self._reference = Reference(model_dir, self._scorer, settings)
        self._optimiser = Optimiser({n: p for n, p in self.model.named_parameters() if p.requires_grad}, settings)
        self._frozen_digest: str | None = None
        self._noted: set[str] = set()

    def step(self, terms: Sequence[Term], rate_factor: float = 1.0) -> StepReport:
        """One update per epoch on the weighted sum of the terms. Splitting into passes changes no result. `rate_factor`: on the
        learning rate.

        Where the gradient is not finite there is no update: the report says so in `skipped`, and the next step begins as if
        this one had had nothing to learn from. Raises ValueError for samples that an objective or the policy cannot take.
        """
        began = time.perf_counter()
        keys = [term.key for term in terms]
        if len(set(keys)) < len(keys):
            raise ValueError(f"the terms of a step need different names, not {keys}; set Term.name")
        prepared = [self._prepare(term) for term in terms]
        self._optimiser.set_rate(rate_factor * self.learning_rate)
        sums = [_TermSums() for _ in prepared]
        norm, num_updates, skipped = 0.0, 0, ""
        for _ in range(self.settings.epochs if any(one.parts for one in prepared) else 0):
            sums, norm = self._gradient(prepared)
            if not math.isfinite(norm):
                self._optimiser.zero_grad()
                skipped = NON_FINITE
                break
            self._optimiser.step()
            num_updates += 1
        self.step_count += 1
        return StepReport(
            step=self.step_count,
            moved=num_updates > 0,
            skipped=skipped,
            loss=sum(one.term.weight * part.loss for one, part in zip(prepared, sums, strict=True)),
            grad_norm=norm,
            terms={one.term.key: _figures(one, part) for one, part in zip(prepared, sums, strict=True)},
            num_groups=sum(len(term.groups) for term in terms),
            num_samples=sum(one.num_samples for one in prepared),
            num_samples_trained=sum(len(part.batch.members) for one in prepared for part in one.parts),
            num_tokens=sum(one.num_tokens for one in prepared),
            num_positions=sum(int(part.batch.is_token_BL.sum()) for one in prepared for part in one.parts),
            seconds=time.perf_counter() - began,
            notes=self._notes(terms),
        )

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        settings = self.settings
        done = min(self.step_count / settings.decay_steps, 1.0) if settings.decay_steps else 0.0
        return settings.learning_rate * (1 - done * (1 - settings.decay_to))

    @torch.no_grad()
    def logprobs(self, prompts: Sequence[Prompt], token_ids: Sequence[Sequence[int]]) -> list[list[float]]:
        """Log-prob at temperature 1 of each given token after its prompt: what a probe compares."""
        found = self._reader.encode(prompts)
        rows = [row for i, answer in enumerate(token_ids) for row in self._scorer.rows(found[i], [i], [answer], 1.0)]
        answers: list[list[float]] = [[] for _ in prompts]
        for batch in self._passes(rows):
            values = self._scorer.score(batch).logprobs_N.split(batch.lengths)
            for member, logprobs in zip(batch.members, values, strict=True):
                answers[member] = logprobs.tolist()
        return answers

    def encode_answer(self, text: str) -> list[int]:
        """Tokens of an answer as the policy would write it, its end included."""
        return self._reader.answer(text)

    # What leaves the learner, and comes back

    def weights(self, form: Form = "full") -> dict[str, Tensor]:
        """The policy's tensors as `save_pretrained` names them, tied ones once, adapters merged; or the adapter alone, as peft
        names it. Copies: later steps leave them alone."""
        return {name: _copy(tensor) for name, tensor in self._tensors(form).items()}

    def save_weights(self, path: Path, form: Form = "full") -> None:
        """`model.safetensors` of the policy, or `adapter_model.safetensors`."""
        state.write(path, self._tensors(form), {"format": "pt"})

    def adapter_config(self, base: str) -> dict[str, Any]:
        """`adapter_config.json` beside the adapter; `base` names the policy it belongs on."""
        if not self.settings.lora:
            raise ValueError("this learner trains no adapter; set `lora`")
        return lora.config_of(self.settings.lora, base)

    def save_state(self, path: Path) -> None:
        """Trained weights, optimiser, objectives' own numbers, step counter and random state. `load_state` of a learner of the
        same model goes on from them."""
        facts = {"step_count": self.step_count, "frozen": self._digest_of_frozen(), "reference": self._reference.digest()}
        state.save(path, self._optimiser, facts)

    def load_state(self, path: Path) -> None:
        """Raises ValueError, with nothing changed, where the state is damaged or another model's."""
        facts = state.facts_of(path, self._optimiser)
        if facts["frozen"] != self._digest_of_frozen():
            raise ValueError(
                "the saved state belongs to other frozen weights: start this learner from the same model directory"
            )
        if facts["reference"] and facts["reference"] != self._reference.ensure().digest():
            raise ValueError(
                "the saved state was held to another first policy: start this learner from the same model directory"
            )
        state.restore(path, self._optimiser)
        self.step_count = facts["step_count"]

    def _tensors(self, form: Form) -> Mapping[str, Tensor]:
        if form == "full":
            return full_tensors(self.model)
        if not self.settings.lora:
            raise ValueError("this learner trains no adapter, so it has only the full form; set `lora`")
        return lora.tensors_of(self.model)

    def _digest_of_frozen(self) -> str:
        if self._frozen_digest is None:
            trained = {id(p) for p in self.model.parameters() if p.requires_grad}
            frozen = [(name, p) for name, p in self.model.named_parameters() if id(p) not in trained]
            self._frozen_digest = state.digest(dict([*frozen, *self.model.named_buffers()]))
        return self._frozen_digest

    # From a term to passes

    def _prepare(self, term: Term) -> PreparedTerm:
        objective, groups = term.objective, encoded(term.groups, self._reader.answer)
        samples = samples_of(groups)
        check(term, samples, self._scorer.banned)
        constants = objective.constants(groups, self.step_count)
        rows = self._rows(groups, constants.moves)
        parts = [
            part_of(batch, samples, self._device, with_behaviour=objective.needs.behaviour) for batch in self._passes(rows)
        ]
        if objective.needs.reference and parts:
            self._reference.ensure()
        return PreparedTerm(
            term,
            groups,
            constants,
            num_samples=len(samples),
            num_tokens=sum(len(sample.token_ids) for sample in samples),
            # Given answers do not show the policy's entropy on its own samples.
            is_drawn=any(not sample.is_given for sample in samples),
            parts=parts,
        )

    def _rows(self, groups: Sequence[SampleGroup], moves: Sequence[bool]) -> list[Row]:
        """Of the samples that move. Samples of a prompt share its rows as far as their temperatures allow."""
        wanted: list[tuple[Prompt, float, list[tuple[int, Sample]]]] = []
        first = 0
        for group in groups:
            by_temperature: dict[float, list[tuple[int, Sample]]] = {}
            for number, sample in enumerate(group.samples, first):
                if sample.token_ids and moves[number]:
                    by_temperature.setdefault(sample.temperature, []).append((number, sample))
            wanted += [(group.prompt, temperature, chosen) for temperature, chosen in by_temperature.items()]
            first += len(group.samples)
        # Only prompts of something that moves: an image takes longer to read than its answers.
        found = self._reader.encode([prompt for prompt, _, _ in wanted])
        return [
            row
            for prompt, (_, temperature, chosen) in zip(found, wanted, strict=True)
            for row in self._rows_of(prompt, chosen, temperature)
        ]

    def _rows_of(self, prompt: EncodedPrompt, chosen: Sequence[tuple[int, Sample]], temperature: float) -> list[Row]:
        numbers, answers = [number for number, _ in chosen], [sample.token_ids for _, sample in chosen]
        return list(self._scorer.rows(prompt, numbers, answers, temperature))

    def _passes(self, rows: Sequence[Row]) -> list[Pass]:
        return passes(rows, self.settings.max_tokens_per_pass, self._reader.pad_id, self._device)

    # One update

    def _gradient(self, prepared: Sequence[PreparedTerm]) -> tuple[list[_TermSums], float]:
        """The gradient of the weighted terms, clipped, and the norm it had before."""
        self._optimiser.zero_grad()
        sums = []
        for one in prepared:
            own = self._own(one)
            whole = one.term.objective.needs.whole_batch and one.parts
            sums.append(self._in_two_passes(one, own) if whole else self._in_one_pass(one, own))
        return sums, self._optimiser.clip().item()

    def _own(self, one: PreparedTerm) -> dict[str, nn.Parameter]:
        wanted = one.term.objective.parameters(one.groups)
        return {
            name: self._optimiser.train_own(
                f"{one.term.key}.{name}", parameter.initial.to(self._device), parameter.learning_rate
            )
            for name, parameter in wanted.items()
        }

    def _in_one_pass(self, one: PreparedTerm, own: Mapping[str, Tensor]) -> _TermSums:
        """Pass by pass: the loss of a sample depends on no other's log-probs."""
        sums = _TermSums()
        for part in one.parts:
            policy_X = self._score(part, one, sums)
            loss, figures = one.term.objective.loss(part.view(policy_X, own), one.constants)
            (one.term.weight * loss).backward()
            sums.loss += loss.item()
            sums.figures.add(figures)
        return sums

    def _in_two_passes(self, one: PreparedTerm, own: Mapping[str, Tensor]) -> _TermSums:
        """All log-probs first, without a graph; the loss is differentiated on them, and what comes of it is sent back pass by
        pass: d loss / d weights = sum over tokens of (d loss / d log-prob) * (d log-prob / d weights), exactly."""
        sums = _TermSums()
        with torch.no_grad():
            leaves = [self._score(part, one, sums) for part in one.parts]
        for leaf in leaves:
            leaf.requires_grad_()
        loss, figures = one.term.objective.loss(whole_view(one.parts, leaves, own), one.constants)
        (one.term.weight * loss).backward()
        sums.loss = loss.item()
        sums.figures.add(figures)
        for part, leaf in zip(one.parts, leaves, strict=True):
            if leaf.grad is not None:
                self._scorer.score(part.batch).logprobs_N.backward(leaf.grad)
        return sums

    def _score(self, part: Part, one: PreparedTerm, sums: _TermSums) -> Tensor:
        """Log-probs [X] of the part under the policy; fills in what else is known of it the first time."""
        predictions = self._scorer.score(part.batch, entropy=one.is_drawn)
        if predictions.entropy_N is not None:
            sums.figures.mean("entropy", predictions.entropy_N[: part.num_tokens])
        answer_N = predictions.logprobs_N[: part.num_tokens]
        if part.proximal_N is None:
            # All passes of the first epoch come before its update: this is the policy at the start of the step.
            part.proximal_N = answer_N.detach()
        if part.reference_N is None and one.term.objective.needs.reference:
            part.reference_N = self._reference.score(part.batch)[: part.num_tokens]
        return predictions.logprobs_N

    def _notes(self, terms: Sequence[Term]) -> tuple[str, ...]:
        notes = [f"{term.key}: {note}" for term in terms for note in term.objective.notes(self.settings.epochs)]
        new = tuple(note for note in notes if note not in self._noted)
        self._noted.update(new)
        return new


def _figures(one: PreparedTerm, sums: _TermSums) -> dict[str, float]:
    return {"loss": sums.loss, **one.constants.figures, **sums.figures.to_json()}


def _copy(tensor: Tensor) -> Tensor:
    return tensor.cpu().clone(memory_format=torch.contiguous_format)
