"""Takes what the clock says out of a report, so that two runs of one seed can be compared byte for byte."""

from collections.abc import Mapping
from typing import Any

from harden.cli.reporting.schema import Report

SCHEMA = "harden.timings/1"


def apart(report: Report) -> tuple[dict[str, Any], dict[str, Any]]:
    """The report as JSON with null for everything that was timed, and what was timed.

    The command goes with the times: it names the directory, and whether the run was resumed.
    """
    content = report.model_dump(by_alias=True, mode="json")
    timings = {
        "schema": SCHEMA,
        "command": content["made_by"].pop("command", None),
        "seconds": _taken(content, "seconds"),
        "rounds": [_of_round(one) for one in content["rounds"]],
    }
    return content, timings


def _of_round(one: dict[str, Any]) -> Mapping[str, Any]:
    steps = [{"role": step["role"], "step": step["step"], "seconds": _taken(step, "seconds")} for step in one["steps"]]
    swaps = {name: _all_taken(one["swaps"][name]) for name in ("publish_to_served_ms", "latency_ms")}
    return {
        "round": one["round"],
        "evaluation_seconds": _taken(one, "evaluation_seconds"),
        "swaps": swaps,
        "steps": steps,
    }


def _all_taken(part: dict[str, Any]) -> dict[str, Any]:
    return {name: _taken(part, name) for name in part}


def _taken(part: dict[str, Any], name: str) -> Any:
    """The value, with null in its place; a part without one stays without one."""
    value = part.get(name)
    if name in part:
        part[name] = None
    return value
