"""LoRA adapters, from peft's layout into the weights of the policy they stand on. peft is imported only where one is loaded.

An adapter is merged, not kept beside the weights: a token then costs what it costs with a whole policy, and the engine, its
batches and its caches know nothing of adapters. What that gives up, several adapters over one copy of the base, no slot needs:
each serves one policy.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from harden.domain.errors import PoisonError
from harden.domain.policy import RefusalReason
from harden.serving.model_files import Specs, examine

CONFIG_FILE: Final = "adapter_config.json"
WEIGHTS_FILE: Final = "adapter_model.safetensors"
# peft's name for the only adapter of a model.
NAME: Final = "default"
# What peft puts before the names of a model's modules in an adapter's file.
PREFIX: Final = "base_model.model."
HALVES: Final = ("lora_A", "lora_B")
FORMATS: Final = frozenset({"BF16", "F16", "F32"})
NAMED_IN_A_REFUSAL = 3

# The settings that an adapter may have. Every other one that changes what is computed must be off or peft's default: some
# import a module by its name, or change weights that are not in the file.
HONOURED: Final = frozenset({"r", "lora_alpha", "target_modules", "use_rslora"})
# Says something of the training or the file, and nothing of what is computed. The base is the one that the manifest names.
IGNORED: Final = frozenset({
    "auto_mapping", "base_model_name_or_path", "inference_mode", "lora_dropout", "peft_type", "peft_version", "revision",
    "task_type",
})  # fmt: skip


@dataclass(frozen=True)
class Adapter:
    """`settings`: those of HONOURED that it has. `specs`: every tensor of its file."""

    settings: Mapping[str, Any]
    weights: Path
    specs: Specs


def read(directory: Path) -> Adapter:
    """An adapter's directory, looked at before anything is loaded from it. PoisonError with a RefusalReason."""
    files = examine(directory)
    found = {path.relative_to(directory).as_posix() for path in files.weights} | files.fingerprint.keys()
    if found != {CONFIG_FILE, WEIGHTS_FILE}:
        detail = f"an adapter is {CONFIG_FILE} and {WEIGHTS_FILE}, not {', '.join(sorted(found))}"
        raise PoisonError(RefusalReason.UNLOADABLE, detail)
    return Adapter(_settings(directory / CONFIG_FILE), directory / WEIGHTS_FILE, files.specs)


def merge(adapter: Adapter, model: Any, device: torch.device) -> None:
    """Adds the adapter to the weights of `model`, which nobody else may hold. PoisonError with a RefusalReason where the two do
    not fit exactly; the model is then of no use."""
    layers = _inject(adapter, model)
    _refuse_misfits(adapter.specs, layers)
    try:
        tensors = load_file(adapter.weights, device=str(device))
    except SafetensorError as error:
        raise PoisonError(RefusalReason.UNLOADABLE, str(error)) from error
    refuse_infinite(tensors)
    for name, layer in layers.items():
        for half in HALVES:
            tensor = tensors[_in_file(name, half)]
            getattr(layer, half)[NAME].weight = torch.nn.Parameter(tensor, requires_grad=False)
        base = layer.get_base_layer()
        base.weight.data = added(base.weight.data, layer.get_delta_weight(NAME))
        model.set_submodule(name, base)
    del model.peft_config


def added(weight: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    """The weight with an adapter's contribution, rounded once. Learner and replica add alike, so both get the same bits."""
    return (weight.float() + delta).to(weight.dtype)


def refuse_infinite(tensors: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in tensors.items():
        # A sum is finite only if every term is, and takes no memory; where it overflows, each value is looked at.
        if tensor.is_floating_point() and not tensor.sum().isfinite() and not tensor.isfinite().all():
            raise PoisonError(RefusalReason.NOT_FINITE, f"{name} holds values that are not finite")


def _settings(path: Path) -> dict[str, Any]:
    from peft import LoraConfig

    try:
        said = json.loads(path.read_bytes())
        kind = said["peft_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise PoisonError(RefusalReason.UNLOADABLE, f"{CONFIG_FILE} cannot be read: {error}") from error
    if kind != "LORA":
        raise PoisonError(RefusalReason.UNLOADABLE, f"the adapter is of the kind {str(kind)[:50]!r}; only LORA is served")
    defaults = LoraConfig().to_dict()
    refused = sorted(key for key in said.keys() - HONOURED - IGNORED if said[key] and said[key] != defaults.get(key))
    if refused:
        raise PoisonError(RefusalReason.UNLOADABLE, f"adapters with {', '.join(refused)[:200]} are not served")
    settings = {key: said[key] for key in HONOURED & said.keys()}
    targets = settings.get("target_modules")
    if not isinstance(targets, list) or not targets or not all(isinstance(target, str) for target in targets):
        raise PoisonError(RefusalReason.UNLOADABLE, f"target_modules of {CONFIG_FILE} must be a list of names")
    return settings


def _inject(adapter: Adapter, model: Any) -> dict[str, Any]:
    """The modules of the model that get an adapter, by name, each now with an empty one beside its weights."""
    from peft import LoraConfig, inject_adapter_in_model

    try:
        config = LoraConfig(**adapter.settings)
        # Empty: no random numbers are drawn for weights that come from the file, and none of a learner in this process.
        inject_adapter_in_model(config, model, adapter_name=NAME, low_cpu_mem_usage=True)
    except (ValueError, TypeError, RuntimeError) as error:
        raise PoisonError(RefusalReason.UNKNOWN_MODULES, f"the base cannot take the adapter: {str(error)[:500]}") from error
    layers = {name: module for name, module in model.named_modules() if hasattr(module, "lora_A")}
    other = sorted(name for name, layer in layers.items() if NAME not in layer.lora_A)
    if other:
        raise PoisonError(RefusalReason.UNKNOWN_MODULES, f"no adapter on a module like {other[0]} is served")
    return layers


def _refuse_misfits(specs: Specs, layers: Mapping[str, Any]) -> None:
    weights = {_in_file(name, half): getattr(layer, half)[NAME].weight for name, layer in layers.items() for half in HALVES}
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    _refuse(RefusalReason.UNKNOWN_MODULES, specs.keys() - shapes.keys(), "are for modules that the base does not have")
    _refuse(RefusalReason.WRONG_SHAPES, shapes.keys() - specs.keys(), "are missing from the adapter")
    differing = {name for name, shape in shapes.items() if specs[name][1] != shape}
    _refuse(RefusalReason.WRONG_SHAPES, differing, "have shapes that do not fit the rank and the modules of the base")
    formats = {dtype for dtype, _ in specs.values()}
    if not formats <= FORMATS or len(formats) > 1:
        raise PoisonError(RefusalReason.UNLOADABLE, f"an adapter is of one format of {', '.join(sorted(FORMATS))}")


def _refuse(reason: str, names: set[str], problem: str) -> None:
    if names:
        some = ", ".join(sorted(names)[:NAMED_IN_A_REFUSAL])
        raise PoisonError(reason, f"{len(names)} tensors {problem}, such as {some}")


def _in_file(module: str, half: str) -> str:
    return f"{PREFIX}{module}.{half}.weight"
