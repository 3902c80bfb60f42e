"""Everything the trainer must not lose, saved as one: weights, optimisers, RNG, position, ledger, offsets.

    <run>/checkpoints/<number>/state.json, <part>...      a complete checkpoint; the highest number holds
    <run>/trainers/<number>/...                           what one trainer writes; the run belongs to the highest number

A directory is on the disk before it is renamed into place, so a process or a machine that dies leaves the previous
checkpoint. A trainer that was thought to be gone and goes on (a paused machine) has lost the run to its heir: it gets a
FencedError, and nothing it does reaches what the heir reads.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harden.domain.errors import FencedError, SetupError

# The newest, and one before it in case a disk loses what was written last.
KEPT = 2
FORMAT = 3


@dataclass(frozen=True, slots=True)
class Part:
    """A large file beside the state. `stamp` changes whenever it does: an unchanged part is linked, not written again."""

    stamp: str
    write: Callable[[Path], None]


class Checkpoints:
    def __init__(self, run_dir: Path) -> None:
        self._root = run_dir / "checkpoints"
        self._trainers = run_dir / "trainers"
        self._root.mkdir(parents=True, exist_ok=True)
        self._trainers.mkdir(exist_ok=True)
        self._own: Path | None = None

    def take_over(self) -> Path:
        """Makes the run this trainer's. Returns the directory for what it keeps until it ends; those before it lose theirs."""
        while self._own is None:
            before = _numbers(self._trainers)
            own = self._trainers / f"{(before[-1] if before else 0) + 1:08d}"
            try:
                own.mkdir()
            except FileExistsError:
                continue  # another one was quicker, and is to be followed
            self._own = own
            for number in before:
                shutil.rmtree(self._trainers / f"{number:08d}", ignore_errors=True)
        return self._own

    def save(self, state: Mapping[str, Any], parts: Mapping[str, Part]) -> None:
        """`state` is JSON. FencedError where the run has been taken over, by this or another process."""
        own = self.take_over()
        # Decided before anything is written: an heir's checkpoint may take this number, and then this one comes too late.
        numbers = _numbers(self._root)
        target = self._root / f"{(numbers[-1] if numbers else 0) + 1:08d}"
        try:
            self._check_owner()
            building = self._build(own, state, parts)
            self._check_owner()
            os.rename(building, target)
        except OSError:
            self._check_owner()
            raise
        _sync(self._root)
        for old in numbers[: 1 - KEPT]:
            shutil.rmtree(self._root / f"{old:08d}", ignore_errors=True)

    def check(self, state: Mapping[str, Any], directory: Path) -> None:
        """Raises SetupError where a part is not what was saved."""
        for name, digest in state["digests"].items():
            try:
                is_whole = _digest(directory / name) == digest
            except OSError:
                is_whole = False
            if not is_whole:
                raise SetupError(f"{name} in checkpoint {directory} is not what was saved; delete it to use the previous")

    def _build(self, own: Path, state: Mapping[str, Any], parts: Mapping[str, Part]) -> Path:
        """A checkpoint that is on the disk, beside its place."""
        building = own / "incomplete"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        before = self.newest()
        stamps_before = before[0]["stamps"] if before else {}
        digests: dict[str, str] = {}
        for name, part in parts.items():
            if before and stamps_before.get(name) == part.stamp:
                os.link(before[1] / name, building / name)
                digests[name] = before[0]["digests"][name]
            else:
                part.write(building / name)
                _sync(building / name)
                digests[name] = _digest(building / name)
        stamps = {name: part.stamp for name, part in parts.items()}
        written = {"format": FORMAT, "stamps": stamps, "digests": digests, **state}
        (building / "state.json").write_text(json.dumps(written))
        _sync(building / "state.json")
        _sync(building)
        return building

    def _check_owner(self) -> None:
        numbers = _numbers(self._trainers)
        if self._own is None or not numbers or self._own.name != f"{numbers[-1]:08d}":
            raise FencedError(f"another trainer took over the run in {self._root.parent}; this one must end")

    def newest(self) -> tuple[dict[str, Any], Path] | None:
        """State and directory of the newest checkpoint; None for a run that has none. Raises SetupError if unreadable."""
        numbers = _numbers(self._root)
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


def _numbers(directory: Path) -> list[int]:
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdigit())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """To the disk, with everything that was written to it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
