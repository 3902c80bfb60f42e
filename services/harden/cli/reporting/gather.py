"""Reads a run's directory into a report. What the trainer wrote is checked here, once, so that the page can trust it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harden.cli.reporting.schema import Components, Exchange, Matrix, MonitorArm, Report, Round, Seconds
from harden.domain.errors import SetupError

PartT = TypeVar("PartT", bound=BaseModel)
_ROUND_FILE = re.compile(r"\d+\.json")


def gather(run_dir: Path) -> Report:
    """The report of the run in `run_dir`, finished or not. SetupError where there is no run or a file of it is unreadable."""
    if not run_dir.is_dir():
        raise SetupError(f"there is no run at {run_dir}; `harden demo --run-dir {run_dir}` plays one")
    outcome = read_json(run_dir / "run.json") or {}
    supervisor = read_json(run_dir / "supervisor.json") or {}
    rounds = read_rounds(run_dir / "rounds")
    failed = _first_text(outcome.get("failed"), supervisor.get("failed"))
    if failed is None and not outcome:
        failed = "the run ended before its last round"
    seconds = Seconds.model_validate(supervisor.get("seconds", {}))
    if not seconds.play and "play_seconds" in outcome:
        # Nobody watched this run, so the trainer's own clock has to do.
        seconds = seconds.model_copy(update={"play": outcome["play_seconds"]})
    return Report(
        schema="harden.report/1",
        ok=failed is None and bool(outcome.get("ok")) and bool(rounds),
        seed=int(outcome.get("seed", supervisor.get("seed", 0))),
        failed=failed,
        seconds=seconds,
        components=Components.model_validate(supervisor.get("components", {})),
        rounds=rounds,
        monitor_arm=_read_part(run_dir / "monitor_arm.json", MonitorArm),
        matrix=_read_part(run_dir / "matrix.json", Matrix),
        examples=tuple(Exchange.model_validate(e) for e in (read_json(run_dir / "examples.json") or {}).get("examples", ())),
        made_by=dict(supervisor.get("made_by", {})),
    )


def read_rounds(folder: Path) -> tuple[Round, ...]:
    """In order of their number."""
    files = [path for path in folder.glob("*.json") if _ROUND_FILE.fullmatch(path.name)] if folder.is_dir() else []
    rounds = [_read_part(path, Round) for path in files]
    return tuple(sorted((one for one in rounds if one is not None), key=lambda one: one.round))


def read_json(path: Path) -> dict[str, Any] | None:
    """None where the file is not there; SetupError where it is not a JSON object."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SetupError(f"{path} cannot be read: {error}; the run has to be played again") from error
    if not isinstance(content, dict):
        raise SetupError(f"{path} holds no JSON object; the run has to be played again")
    return content


def as_json(report: Report) -> str:
    return json.dumps(report.model_dump(by_alias=True, mode="json"), indent=1, allow_nan=False) + "\n"


def _read_part(path: Path, kind: type[PartT]) -> PartT | None:
    content = read_json(path)
    return None if content is None else _checked(path, content, kind)


def _checked(path: Path, content: Mapping[str, Any], kind: type[PartT]) -> PartT:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SetupError(f"{path}: {place}: {first['msg']}; the run has to be played again") from error


def _first_text(*candidates: object) -> str | None:
    return next((str(text) for text in candidates if text), None)
