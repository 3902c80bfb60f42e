"""The run directory: files that the trainer writes for people. A file is replaced as a whole."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of the game. `attack_success` is that of the last batch, None before the first."""

    phase: str
    round: int
    rounds: int
    step: int
    steps: int
    in_flight: int
    attack_success: float | None
    fraction_done: float | None  # None: the game has no end
    message: str


class RunDir:
    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "rounds").mkdir(parents=True, exist_ok=True)

    def progress(self, progress: Progress) -> None:
        self.write("progress.json", asdict(progress))

    def round(self, number: int, record: Mapping[str, object]) -> None:
        self.write(f"rounds/{number}.json", record)

    def write(self, name: str, data: Mapping[str, object]) -> None:
        self._replace(name, json.dumps(data, indent=1))

    def write_text(self, name: str, text: str) -> None:
        self._replace(name, text)

    def _replace(self, name: str, text: str) -> None:
        path = self.root / name
        new = path.with_name(f".{path.name}.new")
        new.write_text(text, encoding="utf-8")
        os.replace(new, path)
