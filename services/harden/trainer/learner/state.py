"""Everything a learner needs to go on where it stopped, as one safetensors file whose header carries the counters."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

SCHEMA = "harden.learner/1"


def trained_tensors(model: Any) -> dict[str, Tensor]:
    """The tensors that `save_pretrained` would write: of tied ones only the original."""
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    return {name: tensor.detach() for name, tensor in model.state_dict().items() if name not in tied}


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Changes with any bit of any tensor."""
    hashed = hashlib.sha256()
    for name in sorted(tensors):
        hashed.update(name.encode())
        hashed.update(tensors[name].cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()


def pack(model: Any, optimiser: torch.optim.Optimizer, facts: Mapping[str, Any]) -> bytes:
    """`facts` must be JSON."""
    tensors = {f"weights.{name}": tensor for name, tensor in trained_tensors(model).items()}
    for name, parameter in _optimised(model, optimiser):
        for key, value in optimiser.state.get(parameter, {}).items():
            tensors[f"optimiser.{key}.{name}"] = value
    tensors["rng"] = torch.get_rng_state()
    # One entry only: safetensors writes several in no fixed order, and equal states should be equal bytes.
    contiguous = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    return save(contiguous, metadata={SCHEMA: json.dumps(facts, sort_keys=True)})


def unpack(data: bytes, model: Any, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Restores what `pack` took and returns its facts. Raises ValueError, with nothing changed, where the bytes do not fit."""
    facts = _facts(data)
    tensors = load(data)
    weights = {name.removeprefix("weights."): tensor for name, tensor in tensors.items() if name.startswith("weights.")}
    _check_fit(weights, trained_tensors(model))
    model.load_state_dict(weights, strict=False)
    model.tie_weights()
    optimiser.state.clear()
    for name, parameter in _optimised(model, optimiser):
        keys = [key for key in ("step", "exp_avg", "exp_avg_sq") if f"optimiser.{key}.{name}" in tensors]
        if keys:
            # AdamW keeps its step counters wherever they were made; moments stand beside their parameter.
            optimiser.state[parameter] = {key: tensors[f"optimiser.{key}.{name}"].to(parameter.device) for key in keys}
    torch.set_rng_state(tensors["rng"])
    return facts


def _facts(data: bytes) -> dict[str, Any]:
    try:
        load(data)
        header_size = int.from_bytes(data[:8], "little")
        facts = json.loads(data[8 : 8 + header_size])["__metadata__"][SCHEMA]
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"these bytes are not the saved state of a learner ({SCHEMA}): {error}") from error
    return json.loads(facts)


def _check_fit(saved: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> None:
    if saved.keys() != present.keys():
        differing = sorted(saved.keys() ^ present.keys())
        raise ValueError(f"the saved state is of another architecture: {differing[0]!r} is in only one of the two")
    for name, tensor in saved.items():
        if tensor.shape != present[name].shape:
            raise ValueError(f"saved {name!r} has shape {tuple(tensor.shape)}, the model's {tuple(present[name].shape)}")


def _optimised(model: nn.Module, optimiser: torch.optim.Optimizer) -> list[tuple[str, nn.Parameter]]:
    chosen = {id(parameter) for group in optimiser.param_groups for parameter in group["params"]}
    return [(name, parameter) for name, parameter in model.named_parameters() if id(parameter) in chosen]
