"""Makes a report of a run from its log and from supervisor.json, which the command that played the run wrote."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harden.cli.reporting.recorded import Recorded
from harden.cli.reporting.schema import SCHEMA, Components, Report, Seconds
from harden.domain.errors import SetupError


def gather(run_dir: Path, recorded: Recorded) -> Report:
    """The report of the run in `run_dir`, finished or not. SetupError where there is no run or a file of it is unreadable."""
    if not run_dir.is_dir():
        raise SetupError(f"there is no run at {run_dir}; `harden demo --run-dir {run_dir}` plays one")
    supervisor = read_json(run_dir / "supervisor.json") or {}
    ending = recorded.ending
    failed = _first_text(ending and ending.failed, supervisor.get("failed"))
    if failed is None and ending is None:
        failed = "the run ended before its last round"
    seconds = Seconds.model_validate(supervisor.get("seconds", {}))
    if not seconds.play and ending is not None:
        # No command watched this run, so the trainer's own clock is used.
        seconds = seconds.model_copy(update={"play": ending.play_seconds})
    return Report(
        schema=SCHEMA,
        split=recorded.split,
        ok=failed is None and bool(recorded.rounds),
        seed=ending.seed if ending else int(supervisor.get("seed", 0)),
        failed=failed,
        seconds=seconds,
        components=Components.model_validate(supervisor.get("components", {})),
        rounds=recorded.rounds,
        suites=dict(recorded.suites),
        best_response=dict(recorded.best_response),
        monitor_arm=recorded.side_run,
        matrix=recorded.matrix,
        examples=recorded.examples,
        made_by=dict(supervisor.get("made_by", {})),
    )


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
    return to_text(report.model_dump(by_alias=True, mode="json"))


def to_text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _first_text(*candidates: object) -> str | None:
    return next((str(text) for text in candidates if text), None)
