"""A policy from its directory: the model, what of it is trained, and its prompts and answers as tokens."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.core_model_loading import revert_weight_conversion

from harden.serving.ports import Prompt
from harden.serving.prompt_encoder import PromptEncoder
from harden.trainer.learner.layout import EncodedPrompt
from harden.trainer.learner.settings import LoRASettings

# peft's name for the only adapter of a model.
ADAPTER = "default"
# What peft puts before the names of a model's modules in an adapter's file.
ADAPTER_PREFIX = "base_model.model."


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
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})  # type: ignore[operator]
    model.train()


def add_lora(model: Any, settings: LoRASettings) -> None:
    """Puts an adapter that changes nothing yet on every target; everything else stops being trained."""
    config = LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, target_modules=list(settings.targets), lora_dropout=0.0, bias="none"
    )
    try:
        inject_adapter_in_model(config, model, adapter_name=ADAPTER)
    except ValueError as error:
        raise ValueError(f"lora.targets {list(settings.targets)} match no module that can have an adapter: {error}") from error
    # An adapter learns in float32 whatever the number format of the frozen weights: its steps are smaller than theirs can be.
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()


def freeze(model: Any, patterns: Sequence[str]) -> None:
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"frozen pattern {pattern!r} matches no parameter of the model; it has such as {names[0]!r}")
    for name, parameter in model.named_parameters():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            parameter.requires_grad_(False)


@contextmanager
def without_adapters(model: nn.Module) -> Iterator[None]:
    """The policy as it was before any adapter."""
    layers = lora_layers(model)
    for layer in layers.values():
        layer.enable_adapters(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    try:
        yield
    finally:
        for layer in layers.values():
            # This marks every adapter as trained, frozen ones too.
            layer.enable_adapters(True)
        for layer in layers.values():
            for parameter in layer.parameters():
                parameter.requires_grad_(False)
        for parameter in trained:
            parameter.requires_grad_(True)


def lora_layers(model: nn.Module) -> dict[str, Any]:
    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}


@torch.no_grad()
def full_tensors(model: Any) -> Mapping[str, Tensor]:
    """The tensors that `save_pretrained` would write, adapters added to the weights they stand beside; of tied ones only
    the original. They are the model's own where nothing had to be added."""
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    layers = lora_layers(model)
    tensors: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if name in tied or "lora_" in name:
            continue
        owner, _, leaf = name.rpartition(".base_layer.")
        if owner:
            if leaf == "weight":
                delta = layers[owner].get_delta_weight(ADAPTER)
                tensor = (tensor.float() + delta).to(tensor.dtype)
            name = f"{owner}.{leaf}"
        tensors[name] = tensor.detach()
    return revert_weight_conversion(model, tensors)


def adapter_tensors(model: Any) -> Mapping[str, Tensor]:
    """The tensors of `adapter_model.safetensors`, which peft loads onto the policy that training began with."""
    saved = get_peft_model_state_dict(model, adapter_name=ADAPTER)
    return {f"{ADAPTER_PREFIX}{name}": tensor.detach() for name, tensor in saved.items()}


def adapter_config(settings: LoRASettings, base: str) -> dict[str, Any]:
    """`adapter_config.json` of the adapter; `base` names the policy it belongs on."""
    return {
        "peft_type": "LORA",
        "base_model_name_or_path": base,
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(settings.targets),
        "inference_mode": True,
    }


def _has_vision(config: Any) -> bool:
    return getattr(config, "vision_config", None) is not None
