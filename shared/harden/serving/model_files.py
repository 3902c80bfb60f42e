"""What a model directory holds, looked at before anything is loaded from it. Only safetensors and plain text may be there."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from harden.domain.errors import PoisonError
from harden.domain.policy import RefusalReason

WEIGHTS = ".safetensors"
# Configuration, tokenizers and templates. Python files are code, and everything else may be a pickle.
TEXT_SUFFIXES = frozenset({".json", ".jinja", ".txt", ".model", ".md"})
LENGTH_BYTES = 8
# The format's own limit.
MAX_HEADER_BYTES = 100_000_000

Specs = dict[str, tuple[str, tuple[int, ...]]]  # tensor name -> type and shape


@dataclass(frozen=True)
class ModelFiles:
    """`specs`: every tensor of every weight file. `fingerprint`: digests of everything that is not weights."""

    directory: Path
    weights: tuple[Path, ...]
    specs: Specs
    fingerprint: dict[str, str]

    def is_alike(self, other: "ModelFiles") -> bool:
        """Whether only the values of the weights differ: same architecture, tokenizer, template and processor."""
        return self.specs == other.specs and self.fingerprint == other.fingerprint


def examine(directory: Path) -> ModelFiles:
    """Raises PoisonError with a RefusalReason where a file is of a forbidden kind, damaged or cut off."""
    weights: list[Path] = []
    specs: Specs = {}
    fingerprint: dict[str, str] = {}
    for path in sorted(p for p in directory.rglob("*") if p.is_file()):
        name = path.relative_to(directory).as_posix()
        if path.suffix == WEIGHTS:
            weights.append(path)
            specs |= read_specs(path)
        elif path.suffix in TEXT_SUFFIXES:
            fingerprint[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            raise PoisonError(RefusalReason.NOT_SAFETENSORS, f"{name} is neither {WEIGHTS} nor configuration")
    if not weights:
        raise PoisonError(RefusalReason.NOT_SAFETENSORS, f"there is no {WEIGHTS} file")
    return ModelFiles(directory, tuple(weights), specs, fingerprint)


def read_specs(path: Path) -> Specs:
    """Types and shapes from the header, which must account for every byte of the file."""
    num_bytes = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(LENGTH_BYTES + 1)
        if len(start) <= LENGTH_BYTES:
            raise PoisonError(RefusalReason.TRUNCATED, f"{path.name} has {num_bytes} bytes")
        header_bytes = int.from_bytes(start[:LENGTH_BYTES], "little")
        if header_bytes > MAX_HEADER_BYTES or start[LENGTH_BYTES:] != b"{":
            raise PoisonError(RefusalReason.NOT_SAFETENSORS, f"{path.name} does not begin like safetensors")
        header = start[LENGTH_BYTES:] + file.read(header_bytes - 1)
    if len(header) < header_bytes:
        raise PoisonError(RefusalReason.TRUNCATED, f"{path.name} ends inside its header")
    try:
        entries = {name: entry for name, entry in json.loads(header).items() if name != "__metadata__"}
        specs = {name: (str(entry["dtype"]), tuple(map(int, entry["shape"]))) for name, entry in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise PoisonError(RefusalReason.NOT_SAFETENSORS, f"the header of {path.name} cannot be read") from error
    expected = LENGTH_BYTES + header_bytes + end
    if num_bytes < expected:
        raise PoisonError(RefusalReason.TRUNCATED, f"{path.name} has {num_bytes} of {expected} bytes")
    return specs
