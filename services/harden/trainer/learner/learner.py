"""The learner: holds one policy and takes GRPO steps on it."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor
from transformers.core_model_loading import revert_weight_conversion

from harden.serving.ports import Prompt
from harden.trainer.learner import state
from harden.trainer.learner.layout import EncodedPrompt, Pass, Row, passes
from harden.trainer.learner.objective import Sums, TokenBatch, grpo_loss, shares
from harden.trainer.learner.policy import Reader, Scorer, load_model
from harden.trainer.learner.settings import LearnerSettings


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sample as the engine drew it: `behaviour_logprobs` are the engine's own, EOS included."""

    token_ids: tuple[int, ...]
    behaviour_logprobs: tuple[float, ...]
    advantage: float

    def __post_init__(self) -> None:
        if len(self.token_ids) != len(self.behaviour_logprobs):
            raise ValueError(f"{len(self.token_ids)} tokens but {len(self.behaviour_logprobs)} behaviour log-probs")


@dataclass(frozen=True, slots=True)
class Group:
    """The samples of one prompt. `temperature` is the one they were drawn at."""

    prompt: Prompt
    rollouts: tuple[Rollout, ...]
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"samples drawn at temperature {self.temperature} have no gradient; sample at a positive one")

    @property
    def has_variance(self) -> bool:
        return any(rollout.advantage != 0 for rollout in self.rollouts)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A supervised example that holds ordinary behaviour in place."""

    prompt: Prompt
    target: str


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step did. Means are over the answer tokens trained on, in the last epoch; `is_` is the importance weight."""

    step: int
    moved: bool  # False where nothing had a gradient: weights and optimiser stayed as they were
    loss: float
    anchor_loss: float
    grad_norm: float
    kl: float
    ratio_mean: float
    ratio_max: float
    clipped_low: float
    clipped_high: float
    is_mean: float
    is_max: float
    is_ess: float  # effective sample size as a share of the tokens, 1 where the policy sampled for itself
    engine_kl_k1: float  # of the engine's distribution to the trained one
    engine_kl_k3: float
    entropy: float
    zero_variance_share: float
    num_groups: int
    num_rollouts: int
    num_rollouts_trained: int  # the others have no gradient and were skipped
    num_tokens: int  # answer tokens of all rollouts
    num_positions: int  # positions computed, after sharing
    seconds: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)


@dataclass(slots=True)
class _Prepared:
    """A pass and what is known about its tokens; prox and ref are filled in when first computed."""

    batch: Pass
    advantages_N: Tensor
    shares_N: Tensor
    behav_N: Tensor
    prox_N: Tensor | None = None
    ref_N: Tensor | None = None


@dataclass(slots=True)
class _EpochSums:
    loss: float = 0.0
    anchor_loss: float = 0.0
    entropy: float = 0.0
    grad_norm: float = 0.0


class Learner:
    """One policy, its optimiser and, where the KL counts, the policy it began as. Used by one thread.

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
        self.model = load_model(model_dir, self._device)
        _freeze(self.model, settings.frozen)
        self._parameters = [p for p in self.model.parameters() if p.requires_grad]
        self._scorer = Scorer(self.model, settings.layout)
        self._reference = self._first_policy(model_dir) if settings.objective.kl_beta > 0 else None
        self._optimiser = torch.optim.AdamW(
            self._parameters,
            lr=settings.learning_rate,
            betas=(settings.beta_1, settings.beta_2),
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def step(self, groups: Sequence[Group], anchors: Sequence[Anchor] = ()) -> StepReport:
        """One update per epoch on the groups, with the anchors beside each. Splitting into passes changes no result."""
        began = time.perf_counter()
        self._refuse_banned(groups)
        prepared = self._prepare(groups)
        anchoring = self._prepare_anchors(anchors) if self.settings.anchor_weight > 0 else []
        moves = bool(prepared or anchoring)
        for group in self._optimiser.param_groups:
            group["lr"] = self.learning_rate
        sums, epoch = Sums(), _EpochSums()
        for _ in range(self.settings.epochs if moves else 0):
            sums, epoch = self._epoch(prepared, anchoring)
        self.step_count += 1
        return self._report(groups, prepared, sums, epoch, moves, time.perf_counter() - began)

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        settings = self.settings
        done = min(self.step_count / settings.decay_steps, 1.0) if settings.decay_steps else 0.0
        return settings.learning_rate * (1 - done * (1 - settings.decay_to))

    @torch.no_grad()
    def logprobs(self, prompts: Sequence[Prompt], token_ids: Sequence[Sequence[int]]) -> list[list[float]]:
        """Log-prob at temperature 1 of each given token after its prompt: what a probe compares."""
        encoded = self._reader.encode(prompts)
        rows = [row for i, answer in enumerate(token_ids) for row in self._rows(encoded[i], [i], [answer], 1.0)]
        answers: list[list[float]] = [[] for _ in prompts]
        for batch in self._passes(rows):
            values = self._scorer.score(batch).logprobs_N.split(batch.lengths)
            for member, logprobs in zip(batch.members, values, strict=True):
                answers[member] = logprobs.tolist()
        return answers

    def encode_answer(self, text: str) -> list[int]:
        """Tokens of an answer as the policy would write it, its end included."""
        return self._reader.answer(text)

    def weights(self) -> dict[str, Tensor]:
        """The policy's tensors as `save_pretrained` names them, tied ones once. Copies: later steps leave them alone."""
        named = revert_weight_conversion(self.model, state.trained_tensors(self.model))
        return {name: tensor.cpu().clone(memory_format=torch.contiguous_format) for name, tensor in named.items()}

    def weights_bytes(self) -> bytes:
        """`model.safetensors` of the policy."""
        return save(self.weights(), metadata={"format": "pt"})

    def save_state(self) -> bytes:
        """Weights, optimiser, step counter and random state; `load_state` of a learner of the same model goes on from them."""
        return state.pack(self.model, self._optimiser, {"step_count": self.step_count, "reference": self._reference_digest()})

    def load_state(self, data: bytes) -> None:
        """Raises ValueError where the state is damaged or another model's."""
        facts = state.unpack(data, self.model, self._optimiser)
        if facts["reference"] and self._reference and facts["reference"] != self._reference_digest():
            raise ValueError(
                "the saved state was held to another first policy: start this learner from the same model directory"
            )
        self.step_count = facts["step_count"]

    def _first_policy(self, model_dir: Path) -> Scorer:
        model = load_model(model_dir, self._device).requires_grad_(False)
        return Scorer(model, "tree" if self._scorer.uses_tree else "rows")

    def _reference_digest(self) -> str | None:
        return state.digest(state.trained_tensors(self._reference.model)) if self._reference else None

    # From groups to passes

    def _prepare(self, groups: Sequence[Group]) -> list[_Prepared]:
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        share_of = shares([len(rollout.token_ids) for rollout in rollouts], self.settings.objective)
        needs_all = self.settings.objective.kl_beta > 0
        rows: list[Row] = []
        first = 0
        encoded = self._reader.encode([group.prompt for group in groups])
        for group, prompt in zip(groups, encoded, strict=True):
            # Without a KL a rollout of advantage zero has no gradient; its tokens still count in the denominator.
            chosen = [i for i, r in enumerate(group.rollouts) if r.token_ids and (needs_all or r.advantage != 0)]
            if chosen:
                answers = [group.rollouts[i].token_ids for i in chosen]
                rows.extend(self._rows(prompt, [first + i for i in chosen], answers, group.temperature))
            first += len(group.rollouts)
        return [self._prepared(batch, rollouts, share_of) for batch in self._passes(rows)]

    # Log-probs, advantages and shares are float64: they are few, and then nothing of what was given is lost.
    def _prepared(self, batch: Pass, rollouts: Sequence[Rollout], share_of: Sequence[float]) -> _Prepared:
        def per_token(values: Sequence[float]) -> Tensor:
            lengths = torch.tensor(batch.lengths, device=self._device)
            return torch.tensor(values, dtype=torch.float64, device=self._device).repeat_interleave(lengths)

        behaviour = [logprob for member in batch.members for logprob in rollouts[member].behaviour_logprobs]
        return _Prepared(
            batch,
            advantages_N=per_token([rollouts[member].advantage for member in batch.members]),
            shares_N=per_token([share_of[member] for member in batch.members]),
            behav_N=torch.tensor(behaviour, dtype=torch.float64, device=self._device),
        )

    def _prepare_anchors(self, anchors: Sequence[Anchor]) -> list[Pass]:
        encoded = self._reader.encode([anchor.prompt for anchor in anchors])
        rows: list[Row] = []
        for i, (anchor, prompt) in enumerate(zip(anchors, encoded, strict=True)):
            rows.extend(self._rows(prompt, [i], [self._reader.answer(anchor.target)], 1.0))
        return self._passes(rows)

    def _rows(
        self, prompt: EncodedPrompt, members: Sequence[int], answers: Sequence[Sequence[int]], temperature: float
    ) -> list[Row]:
        return list(self._scorer.rows(prompt, members, answers, temperature))

    def _passes(self, rows: Sequence[Row]) -> list[Pass]:
        return passes(rows, self.settings.max_tokens_per_pass, self._reader.pad_id, self._device)

    # One update

    def _epoch(self, prepared: Sequence[_Prepared], anchoring: Sequence[Pass]) -> tuple[Sums, _EpochSums]:
        sums, epoch = Sums(), _EpochSums()
        self._optimiser.zero_grad(set_to_none=True)
        for part in prepared:
            epoch.loss += self._backward(part, sums, epoch)
        num_targets = sum(len(batch.targets_N) for batch in anchoring)
        for batch in anchoring:
            # Cross-entropy: the mean over all target tokens of the step, so its parts are divided by their total.
            loss = -self._scorer.score(batch).logprobs_N.sum() / num_targets
            (self.settings.anchor_weight * loss).backward()
            epoch.anchor_loss += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self.settings.max_grad_norm)
        epoch.grad_norm = norm.item()
        if not norm.isfinite():
            raise ArithmeticError(
                f"the gradient of step {self.step_count} has norm {epoch.grad_norm}; the policy is unchanged by it"
            )
        self._optimiser.step()
        return sums, epoch

    def _backward(self, part: _Prepared, sums: Sums, epoch: _EpochSums) -> float:
        predictions = self._scorer.score(part.batch)
        if part.prox_N is None:
            # All passes of the first epoch come before its update: this is the policy at the start of the step.
            part.prox_N = predictions.logprobs_N.detach()
        if part.ref_N is None and self._reference is not None:
            with torch.no_grad():
                part.ref_N = self._reference.score(part.batch).logprobs_N
        tokens = TokenBatch(part.advantages_N, part.shares_N, part.behav_N, part.prox_N, part.ref_N)
        loss, part_sums = grpo_loss(predictions.logprobs_N, tokens, self.settings.objective)
        loss.backward()
        sums.add(part_sums)
        epoch.entropy += predictions.entropy_N.sum().item()
        return loss.item()

    def _refuse_banned(self, groups: Sequence[Group]) -> None:
        for group in groups:
            for rollout in group.rollouts:
                if not self._scorer.banned.isdisjoint(rollout.token_ids):
                    raise ValueError("a sample has a token of generation_config.suppress_tokens: this policy did not draw it")

    def _report(
        self, groups: Sequence[Group], prepared: Sequence[_Prepared], sums: Sums, epoch: _EpochSums, moved: bool, seconds: float
    ) -> StepReport:
        tokens = max(sums.tokens, 1.0)
        return StepReport(
            step=self.step_count,
            moved=moved,
            loss=epoch.loss,
            anchor_loss=epoch.anchor_loss,
            grad_norm=epoch.grad_norm,
            kl=sums.kl / tokens,
            ratio_mean=sums.ratio / tokens,
            ratio_max=sums.ratio_max,
            clipped_low=sums.clipped_low / tokens,
            clipped_high=sums.clipped_high / tokens,
            is_mean=sums.weight / tokens,
            is_max=sums.weight_max,
            is_ess=sums.weight**2 / (tokens * sums.weight_square) if sums.weight_square else 0.0,
            engine_kl_k1=sums.engine_k1 / tokens,
            engine_kl_k3=sums.engine_k3 / tokens,
            entropy=epoch.entropy / tokens,
            zero_variance_share=sum(not group.has_variance for group in groups) / max(len(groups), 1),
            num_groups=len(groups),
            num_rollouts=sum(len(group.rollouts) for group in groups),
            num_rollouts_trained=sum(len(part.batch.members) for part in prepared),
            num_tokens=sum(len(rollout.token_ids) for group in groups for rollout in group.rollouts),
            num_positions=sum(int(part.batch.is_token_BL.sum()) for part in prepared),
            seconds=seconds,
        )


def _freeze(model: Any, patterns: Sequence[str]) -> None:
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"frozen pattern {pattern!r} matches no parameter of the model; it has such as {names[0]!r}")
    for name, parameter in model.named_parameters():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            parameter.requires_grad_(False)
