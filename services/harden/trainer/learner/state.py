"""Everything a learner needs to go on where it stopped, in one safetensors file whose header carries the counters.

What is trained is saved; what is frozen is not, and comes from the policy's directory: a digest says whether it is the same.
Files are written and read tensor by tensor, so that no more than one of them is in memory a second time.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from harden.trainer.learner.optimiser import Optimiser

SCHEMA = "harden.learner/2"
WEIGHTS, OWN, MOMENTS, RNG = "weights.", "own.", "optimiser.", "rng"
DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Changes with any bit of any tensor."""
    hashed = hashlib.sha256()
    for name in sorted(tensors):
        hashed.update(name.encode())
        hashed.update(_bytes(tensors[name]))
    return hashed.hexdigest()


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """A safetensors file, one tensor after another in the order of their names. Equal tensors give equal bytes."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name in sorted(tensors):
        tensor = tensors[name]
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    encoded = json.dumps(header, sort_keys=True).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little"))
        file.write(encoded)
        for name in sorted(tensors):
            file.write(_bytes(tensors[name]))
        file.flush()
        os.fsync(file.fileno())


def save(path: Path, optimiser: Optimiser, facts: Mapping[str, Any]) -> None:
    """`facts` must be JSON."""
    tensors: dict[str, Tensor] = {f"{WEIGHTS}{name}": tensor for name, tensor in optimiser.weights().items()}
    tensors |= {f"{OWN}{name}": tensor for name, tensor in optimiser.own().items()}
    tensors |= {f"{MOMENTS}{name}": tensor for name, tensor in optimiser.moments()}
    tensors[RNG] = torch.get_rng_state()
    # One entry, which keeps its order: readers may reorder several.
    write(path, tensors, {SCHEMA: json.dumps(facts, sort_keys=True)})


def facts_of(path: Path, optimiser: Optimiser) -> dict[str, Any]:
    """What was saved beside the tensors. Raises ValueError where the file is damaged or the state of another model."""
    with _opened(path) as file:
        try:
            facts = json.loads((file.metadata() or {})[SCHEMA])
        except KeyError as error:
            raise ValueError(f"{path} is not the saved state of a learner ({SCHEMA})") from error
        saved = {name.removeprefix(WEIGHTS): file.get_slice(name) for name in file.keys() if name.startswith(WEIGHTS)}  # noqa: SIM118
        _check_fit({name: tuple(part.get_shape()) for name, part in saved.items()}, optimiser.weights())
    return facts


def restore(path: Path, optimiser: Optimiser) -> None:
    """Puts back what `save` took of an optimiser. `facts_of` has looked at the file before."""
    with _opened(path) as file:
        names = list(file.keys())
        optimiser.restore(*(_Lazy(file, prefix, names) for prefix in (WEIGHTS, OWN, MOMENTS)))
        torch.set_rng_state(file.get_tensor(RNG))


class _Lazy(Mapping[str, Tensor]):
    """The tensors of a file under a prefix; each is read when it is asked for."""

    def __init__(self, file: Any, prefix: str, names: Iterable[str]) -> None:
        self._file = file
        self._prefix = prefix
        self._names = {name.removeprefix(prefix): name for name in names if name.startswith(prefix)}

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._file.get_tensor(self._names[name])
        return tensor

    def __iter__(self) -> Any:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@contextmanager
def _opened(path: Path) -> Any:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not the saved state of a learner: {error}") from error


def _check_fit(saved: Mapping[str, tuple[int, ...]], present: Mapping[str, Tensor]) -> None:
    if saved.keys() != present.keys():
        differing = sorted(saved.keys() ^ present.keys())
        raise ValueError(
            f"the saved state is of another architecture or other trained parts: {differing[0]!r} is in only one of the two"
        )
    for name, shape in saved.items():
        if shape != tuple(present[name].shape):
            raise ValueError(f"saved {name!r} has shape {shape}, the model's {tuple(present[name].shape)}: not its state")


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data
