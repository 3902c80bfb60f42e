"""Everything the trainer must not lose, saved as one: weights, optimisers, RNG, position, ledger, offsets.

    <run>/checkpoints/<number>/state.json, <part>...      a complete checkpoint; the highest number holds
    <run>/checkpoints/.incomplete                         being written; never read

A directory is renamed into place when it is complete, so a process that is killed leaves the previous checkpoint.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harden.domain.errors import SetupError

# The newest, and one before it in case a disk loses what was written last.
KEPT = 2
FORMAT = 2


@dataclass(frozen=True, slots=True)
class Part:
    """A large file beside the state. `stamp` changes whenever it does: an unchanged part is linked, not written again."""

    stamp: str
    write: Callable[[Path], None]


class Checkpoints:
    def __init__(self, run_dir: Path) -> None:
        self._root = run_dir / "checkpoints"
        self._root.mkdir(parents=True, exist_ok=True)

    def save(self, state: Mapping[str, Any], parts: Mapping[str, Part]) -> None:
        """`state` is JSON."""
        building = self._root / ".incomplete"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        before = self.newest()
        stamps_before = before[0]["stamps"] if before else {}
        for name, part in parts.items():
            if before and stamps_before.get(name) == part.stamp:
                os.link(before[1] / name, building / name)
            else:
                part.write(building / name)
        stamps = {name: part.stamp for name, part in parts.items()}
        (building / "state.json").write_text(json.dumps({"format": FORMAT, "stamps": stamps, **state}))
        numbers = self._numbers()
        os.rename(building, self._root / f"{(numbers[-1] if numbers else 0) + 1:08d}")
        for old in numbers[: 1 - KEPT]:
            shutil.rmtree(self._root / f"{old:08d}")

    def newest(self) -> tuple[dict[str, Any], Path] | None:
        """State and directory of the newest checkpoint; None for a run that has none. Raises SetupError if unreadable."""
        numbers = self._numbers()
        if not numbers:
            return None
        directory = self._root / f"{numbers[-1]:08d}"
        try:
            state = json.loads((directory / "state.json").read_text())
        except (OSError, ValueError) as error:
            raise SetupError(f"checkpoint {directory} cannot be read ({error}); delete it to use the previous") from error
        if state["format"] != FORMAT:
            raise SetupError(f"checkpoint {directory} has format {state['format']}, not {FORMAT}; begin a new run")
        return state, directory

    def _numbers(self) -> list[int]:
        return sorted(int(path.name) for path in self._root.iterdir() if path.name.isdigit())
