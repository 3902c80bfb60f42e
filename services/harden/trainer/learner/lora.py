"""LoRA through peft: adapters inside a frozen policy. peft is imported only where a policy has adapters.

The model keeps its class; a module with an adapter keeps its weights in `base_layer` beside `lora_A` and `lora_B`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from harden.serving.adapters import NAME, PREFIX
from harden.trainer.learner.settings import LoRASettings


def add(model: Any, settings: LoRASettings) -> None:
    """Adds an adapter, initially zero, to every target, and freezes all other weights."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, target_modules=list(settings.targets), lora_dropout=0.0, bias="none"
    )
    try:
        inject_adapter_in_model(config, model, adapter_name=NAME)
    except ValueError as error:
        raise ValueError(f"lora.targets {list(settings.targets)} match no module that can have an adapter: {error}") from error
    # Adapters are trained in float32 also on bfloat16 weights: their updates are too small for bfloat16.
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()
    model.eval()


def layers_of(model: nn.Module) -> dict[str, Any]:
    """The modules with an adapter, by name."""
    return {name: module for name, module in model.named_modules() if hasattr(module, "lora_A")}


def delta_of(layer: Any) -> Tensor:
    """The matrix that the adapter adds to its layer's weight."""
    delta: Tensor = layer.get_delta_weight(NAME)
    return delta


@contextmanager
def without_adapters(model: nn.Module) -> Iterator[None]:
    """The policy as it was before any adapter."""
    layers = layers_of(model).values()
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)
            # It marks every adapter as trained, also those that were frozen.
            for parameter in layer.parameters():
                parameter.requires_grad_(id(parameter) in trained)


def tensors_of(model: Any) -> Mapping[str, Tensor]:
    """The tensors of `adapter_model.safetensors`, which peft loads onto the policy that training began with."""
    from peft import get_peft_model_state_dict

    saved = get_peft_model_state_dict(model, adapter_name=NAME)
    return {f"{PREFIX}{name}": tensor.detach() for name, tensor in saved.items()}


def config_of(settings: LoRASettings, base: str) -> dict[str, Any]:
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
