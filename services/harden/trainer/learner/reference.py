"""The policy that training began with: the reference of a KL or a preference."""

from pathlib import Path

import torch
from torch import Tensor

from harden.trainer.learner import lora, state
from harden.trainer.learner.layout import Pass
from harden.trainer.learner.policy import full_tensors, load_model
from harden.trainer.learner.scorer import Scorer
from harden.trainer.learner.settings import LearnerSettings


class Reference:
    """Loaded when somebody asks for it. Under adapters it is the policy without them and costs no memory."""

    def __init__(self, model_dir: Path, policy: Scorer, settings: LearnerSettings) -> None:
        self._model_dir = model_dir
        self._policy = policy
        self._settings = settings
        self._scorer: Scorer | None = None

    def ensure(self) -> "Reference":
        if self._scorer is None and not self._has_adapters:
            dtype, layout = self._policy.model.dtype, "tree" if self._policy.uses_tree else "rows"
            model = load_model(self._model_dir, self._policy.model.device, dtype).requires_grad_(False)
            self._scorer = Scorer(model, layout, self._settings.max_logits)
        return self

    @torch.no_grad()
    def score(self, batch: Pass) -> Tensor:
        """Log-probs of what the batch predicts."""
        if self._has_adapters:
            with lora.without_adapters(self._policy.model):
                return self._policy.score(batch).logprobs_N
        self.ensure()
        assert self._scorer is not None
        return self._scorer.score(batch).logprobs_N

    def digest(self) -> str | None:
        """None where it was never requested, and under adapters: there it is the frozen weights, which are digested anyway."""
        return state.digest(full_tensors(self._scorer.model)) if self._scorer else None

    @property
    def _has_adapters(self) -> bool:
        return self._settings.lora is not None and bool(lora.layers_of(self._policy.model))
