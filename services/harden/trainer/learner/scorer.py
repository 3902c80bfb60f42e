"""Log-probs of answer tokens under a model, of the distribution the engine draws from.

Shapes: see layout.py; H hidden, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harden.trainer.learner.layout import EncodedPrompt, Pass, Row, passes, plain_rows, tree_rows
from harden.trainer.learner.logprobs import Choice, Predictions, chosen_logprobs

# Decoders known to follow a mask and positions given from outside; the check at the start decides.
TREE_DECODERS = frozenset({"llama", "mistral", "qwen2", "qwen3", "phi3", "gemma", "olmo2", "smollm3"})
TREE_MODELS = TREE_DECODERS | {"llava"}
# Log-probs of two ways to compute them differ by rounding only; a way that is not understood is off by far more.
TOLERANCE = {torch.float64: 1e-3, torch.float32: 1e-3, torch.bfloat16: 0.15}
CHECK_TOKENS = 12


class Scorer:
    """`layout` is of the settings; `max_logits` bounds the logits in memory at a time."""

    def __init__(self, model: Any, layout: str, max_logits: int) -> None:
        self.model = model
        self._max_logits = max_logits
        vocabulary_size, self._hidden_size = model.get_output_embeddings().weight.shape
        self.banned = frozenset(model.generation_config.suppress_tokens or ())
        # The lowest number rather than -inf: its probability is 0 as well, and 0 times it is 0 and not NaN.
        self._ban_V = torch.zeros(vocabulary_size, device=model.device)
        if self.banned:
            self._ban_V[sorted(self.banned)] = torch.finfo(torch.float32).min
        self.uses_tree = layout == "tree"
        # Some models do more to hidden states than multiply them by the output embedding.
        self._has_plain_head = self._agree((False, False), (False, True))
        if layout == "auto" and _knows_trees(model.config):
            self.uses_tree = self._has_plain_head and self._agree((False, True), (True, True))

    def rows(
        self, prompt: EncodedPrompt, members: Sequence[int], answers: Sequence[Sequence[int]], temperature: float
    ) -> Iterator[Row]:
        """The answers of one prompt as rows of the layout in use."""
        if self.uses_tree:
            return tree_rows(prompt, members, answers, temperature, self._hidden_size)
        return plain_rows(prompt, members, answers, temperature)

    def score(self, batch: Pass, *, entropy: bool = False) -> Predictions:
        choice = Choice(batch.temperature_U, self._ban_V, batch.predictor_of_N, batch.targets_N)
        if self.uses_tree or self._has_plain_head:
            hidden_UH = self._hidden(batch).flatten(0, 1).index_select(0, batch.predictors_U)
            head = self.model.get_output_embeddings()
            return chosen_logprobs(hidden_UH, head, choice, max_logits=self._max_logits, entropy=entropy)
        logits_UV = self._own_logits(batch).flatten(0, 1).index_select(0, batch.predictors_U)
        # They are all there already, so there is nothing to save by chunks.
        return chosen_logprobs(logits_UV, lambda logits: logits, choice, max_logits=logits_UV.numel(), entropy=entropy)

    def _hidden(self, batch: Pass) -> Tensor:
        decoder: nn.Module = getattr(self.model, self.model.base_model_prefix)
        given: dict[str, Any] = {"attention_mask": batch.is_token_BL}
        if self.uses_tree:
            mask = None if batch.mask_BLL is None else batch.mask_BLL[:, None].to(self.model.dtype)
            given = {"attention_mask": mask, "position_ids": batch.position_ids_BL}
        return decoder(input_ids=batch.input_ids_BL, use_cache=False, **given, **batch.extras).last_hidden_state

    def _own_logits(self, batch: Pass) -> Tensor:
        """The model's own forward, including any transformation between hidden states and logits."""
        return self.model(
            input_ids=batch.input_ids_BL, attention_mask=batch.is_token_BL, use_cache=False, **batch.extras
        ).logits

    @torch.no_grad()
    def _agree(self, *ways: tuple[bool, bool]) -> bool:
        """Whether ways to compute, each (uses_tree, has_plain_head), give the same log-probs. Leaves the tree as it was."""
        usable = [token for token in range(len(self._ban_V)) if token not in self.banned][-CHECK_TOKENS:]
        prompt = EncodedPrompt(tuple(usable[:4]))
        answers = [usable[4:9], [*usable[4:6], *usable[9:12]], usable[6:12]]
        before, scores = self.uses_tree, []
        for self.uses_tree, self._has_plain_head in ways:
            rows = list(self.rows(prompt, range(len(answers)), answers, 1.0))
            (batch,) = passes(rows, CHECK_TOKENS**2, 0, self.model.device)
            by_answer = dict(zip(batch.members, self.score(batch).logprobs_N.split(batch.lengths), strict=True))
            scores.append(torch.cat([by_answer[i] for i in range(len(answers))]))
        self.uses_tree = before
        return bool((scores[0] - scores[1]).abs().max() < TOLERANCE[self.model.dtype])


def _knows_trees(config: Any) -> bool:
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None)
    kinds = getattr(text, "layer_types", None) or ["sliding_attention" if window else "full_attention"]
    return config.model_type in TREE_MODELS and text.model_type in TREE_DECODERS and set(kinds) == {"full_attention"}
