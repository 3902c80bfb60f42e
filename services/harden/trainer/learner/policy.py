"""A policy with its processor: from prompts and answers to the log-prob of every answer token.

Shapes: see layout.py; H hidden, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
)

from harden.serving.ports import Prompt
from harden.serving.prompt_encoder import PromptEncoder
from harden.trainer.learner.layout import EncodedPrompt, Pass, Row, passes, plain_rows, tree_rows

# Decoders known to follow a mask and positions given from outside; the check at the start has the last word.
TREE_DECODERS = frozenset({"llama", "mistral", "qwen2", "qwen3", "phi3", "gemma", "olmo2", "smollm3"})
TREE_MODELS = TREE_DECODERS | {"llava"}
# Log-probs of the two layouts differ by rounding only; a layout that is not understood is off by far more.
LAYOUT_TOLERANCE = 1e-3
CHECK_TOKENS = 12


class Reader:
    """Prompts and answers to tokens, as the serving engine reads them."""

    def __init__(self, directory: Path) -> None:
        config = AutoConfig.from_pretrained(directory, local_files_only=True)
        self._encoder = PromptEncoder(directory, sees_images=_has_vision(config))
        self.tokenizer: Any = self._encoder.tokenizer
        self.pad_id: int = self.tokenizer.pad_token_id

    def encode(self, prompts: Sequence[Prompt]) -> list[EncodedPrompt]:
        """Text prompts together; a prompt with images by itself, so that it keeps the features of its own images."""
        encoded: dict[Prompt, EncodedPrompt] = {}
        texts = [prompt for prompt in dict.fromkeys(prompts) if not prompt.images]
        if texts:
            features = self._encoder.encode(texts)
            rows = zip(features["input_ids"].tolist(), features["attention_mask"].sum(-1).tolist(), strict=True)
            for prompt, (token_ids, length) in zip(texts, rows, strict=True):
                encoded[prompt] = EncodedPrompt(tuple(token_ids[-length:]))
        for prompt in prompts:
            if prompt not in encoded:
                features = self._encoder.encode([prompt])
                token_ids = tuple(features.pop("input_ids")[0].tolist())
                del features["attention_mask"]
                encoded[prompt] = EncodedPrompt(token_ids, features)
        return [encoded[prompt] for prompt in prompts]

    def answer(self, text: str) -> list[int]:
        """Tokens of an answer as the policy would write it, its end included."""
        return [*self.tokenizer(text, add_special_tokens=False).input_ids, self.tokenizer.eos_token_id]


def load_model(directory: Path, device: torch.device) -> Any:
    """The model in float32 and evaluation mode: dropout would make the policy differ from the one that is served."""
    config = AutoConfig.from_pretrained(directory, local_files_only=True)
    kind = AutoModelForImageTextToText if _has_vision(config) else AutoModelForCausalLM
    model = kind.from_pretrained(directory, local_files_only=True, use_safetensors=True, dtype=torch.float32)
    return model.to(device).eval()


def _has_vision(config: Any) -> bool:
    return getattr(config, "vision_config", None) is not None


@dataclass(frozen=True, slots=True)
class Predictions:
    """`entropy_N` is of the whole distribution the token was drawn from, without a gradient."""

    logprobs_N: Tensor
    entropy_N: Tensor


class Scorer:
    """Log-probs under a model, of the distribution the engine draws from: temperature applied, banned tokens impossible."""

    def __init__(self, model: Any, layout: str) -> None:
        self.model = model
        vocabulary_size, self._hidden_size = model.get_output_embeddings().weight.shape
        self.banned = frozenset(model.generation_config.suppress_tokens or ())
        # The lowest number rather than -inf: its probability is 0 as well, and 0 times it is 0 and not NaN.
        self._ban_V = torch.zeros(vocabulary_size, device=model.device)
        if self.banned:
            self._ban_V[sorted(self.banned)] = torch.finfo(torch.float32).min
        self.uses_tree = layout == "tree" or (layout == "auto" and _knows_trees(model.config) and self._layouts_agree())

    def rows(
        self, prompt: EncodedPrompt, members: Sequence[int], answers: Sequence[Sequence[int]], temperature: float
    ) -> Iterator[Row]:
        """The answers of one prompt as rows of the layout in use."""
        if self.uses_tree:
            return tree_rows(prompt, members, answers, temperature, self._hidden_size)
        return plain_rows(prompt, members, answers, temperature)

    def score(self, batch: Pass) -> Predictions:
        logits_UV = self._tree_logits(batch) if self.uses_tree else self._plain_logits(batch)
        logprobs_UV = (_at_least_float32(logits_UV) / batch.temperature_U[:, None] + self._ban_V).log_softmax(-1)
        with torch.no_grad():
            entropy_U = -(logprobs_UV.exp() * logprobs_UV).sum(-1)
        return Predictions(logprobs_UV[batch.predictor_of_N, batch.targets_N], entropy_U[batch.predictor_of_N])

    def _tree_logits(self, batch: Pass) -> Tensor:
        """Logits of the predicting positions only: the vocabulary is the widest thing in a small model."""
        decoder: nn.Module = getattr(self.model, self.model.base_model_prefix)
        mask = None if batch.mask_BLL is None else batch.mask_BLL[:, None].to(self.model.dtype)
        hidden_BLH = decoder(
            input_ids=batch.input_ids_BL,
            attention_mask=mask,
            position_ids=batch.position_ids_BL,
            use_cache=False,
            **batch.extras,
        ).last_hidden_state
        return self.model.get_output_embeddings()(hidden_BLH.flatten(0, 1).index_select(0, batch.predictors_U))

    def _plain_logits(self, batch: Pass) -> Tensor:
        """The model's own forward, whatever it does between hidden states and logits."""
        logits_BLV = self.model(
            input_ids=batch.input_ids_BL, attention_mask=batch.is_token_BL, use_cache=False, **batch.extras
        ).logits
        return logits_BLV.flatten(0, 1).index_select(0, batch.predictors_U)

    @torch.no_grad()
    def _layouts_agree(self) -> bool:
        usable = [token for token in range(len(self._ban_V)) if token not in self.banned][-CHECK_TOKENS:]
        prompt = EncodedPrompt(tuple(usable[:4]))
        answers = [usable[4:9], [*usable[4:6], *usable[9:12]], usable[6:12]]
        scores = []
        for self.uses_tree in (True, False):
            rows = list(self.rows(prompt, range(len(answers)), answers, 1.0))
            (batch,) = passes(rows, CHECK_TOKENS**2, 0, self.model.device)
            by_answer = dict(zip(batch.members, self.score(batch).logprobs_N.split(batch.lengths), strict=True))
            scores.append(torch.cat([by_answer[i] for i in range(len(answers))]))
        return bool((scores[0] - scores[1]).abs().max() < LAYOUT_TOLERANCE)


def _knows_trees(config: Any) -> bool:
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None)
    kinds = getattr(text, "layer_types", None) or ["sliding_attention" if window else "full_attention"]
    return config.model_type in TREE_MODELS and text.model_type in TREE_DECODERS and set(kinds) == {"full_attention"}


def _at_least_float32(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
