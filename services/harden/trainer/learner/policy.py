"""A policy from its directory: the model, its trainable weights, and its prompts and answers as tokens."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.core_model_loading import revert_weight_conversion

from harden.serving.adapters import added
from harden.serving.ports import Prompt
from harden.serving.prompt_encoder import PromptEncoder
from harden.trainer.learner import lora
from harden.trainer.learner.layout import EncodedPrompt


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


def load_model(directory: Path, device: torch.device, dtype: torch.dtype = torch.float32) -> Any:
    """The model in evaluation mode: dropout would make the policy differ from the one that is served."""
    config = AutoConfig.from_pretrained(directory, local_files_only=True)
    kind = AutoModelForImageTextToText if _has_vision(config) else AutoModelForCausalLM
    model = kind.from_pretrained(directory, local_files_only=True, use_safetensors=True, dtype=dtype)
    return model.to(device).eval()


def checkpoint_layers(model: nn.Module) -> None:
    """Each layer keeps its input alone and is computed again in the backward pass.

    Layers do so in training mode only, which would also turn dropout on: it is taken out first.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name in ("attention_dropout", "dropout"):
            # Attention and some MLPs drop by a number of their own.
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    model.activation_checkpointing_enable()  # type: ignore[operator]
    model.train()


def freeze(model: Any, patterns: Sequence[str]) -> None:
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"frozen pattern {pattern!r} matches no parameter of the model; it has such as {names[0]!r}")
    for name, parameter in model.named_parameters():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            parameter.requires_grad_(False)


@torch.no_grad()
def full_tensors(model: Any) -> Mapping[str, Tensor]:
    """The tensors that `save_pretrained` would write, adapters merged into their weights; of tied ones only
    the original. They are the model's own where nothing had to be added."""
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    layers = lora.layers_of(model)
    tensors: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if name in tied or "lora_" in name:
            continue
        owner, _, leaf = name.rpartition(".base_layer.")
        if owner:
            if leaf == "weight":
                tensor = added(tensor, lora.delta_of(layers[owner]))
            name = f"{owner}.{leaf}"
        tensors[name] = tensor.detach()
    return revert_weight_conversion(model, tensors)


def _has_vision(config: Any) -> bool:
    return getattr(config, "vision_config", None) is not None
