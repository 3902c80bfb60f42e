"""`results.json`, and the tables that are made of it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import benchmark_of

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
README = HERE / "README.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
COLUMNS = ("benchmark", "ours", "peer", "ratio", "goal", "met")

Line = Mapping[str, Any]


def read(path: Path = RESULTS) -> list[Line]:
    """Empty where nothing was measured yet."""
    return json.loads(path.read_text()) if path.exists() else []


def merge(old: Sequence[Line], new: Sequence[Line], order: Sequence[str]) -> list[Line]:
    """Every line of a benchmark that was measured again is replaced; the others stay. Benchmarks in the given order."""
    measured = {benchmark_of(line["name"]) for line in new}
    kept = [line for line in old if benchmark_of(line["name"]) not in measured]
    # Lines of a benchmark that no longer exists are dropped with it.
    return [line for name in order for line in (*kept, *new) if benchmark_of(line["name"]) == name]


def write(lines: Sequence[Line], path: Path = RESULTS) -> None:
    """Replaces the file whole."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(json.dumps(list(lines), indent=1) + "\n")
    new.replace(path)


def as_text(lines: Iterable[Line]) -> str:
    """For a terminal: columns under one another."""
    rows = [COLUMNS, *map(_cells, lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def as_markdown(lines: Iterable[Line]) -> str:
    rows = [COLUMNS, ("---",) * len(COLUMNS), *map(_cells, lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def details_as_text(lines: Iterable[Line]) -> str:
    """What stands behind each line."""
    return "\n".join(
        f"{line['name']}: {', '.join(f'{key} {_plain(value)}' for key, value in line['details'].items())}" for line in lines
    )


def show_in_readme(lines: Sequence[Line], readme: Path = README) -> None:
    """Puts the table, and the machines it was made on, between the marks."""
    text = readme.read_text()
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, f"{readme} has no marks for the table"
    readme.write_text(f"{before}{BEGIN}\n{as_markdown(lines)}\n\n{_machines(lines)}\n{END}{after}")


def _cells(line: Line) -> tuple[str, ...]:
    unit = line["unit"]
    ours, theirs = f"{_figure(line['value'])} {unit}", f"{_figure(line['peer_value'])} ({line['peer']})"
    return (line["name"], ours, theirs, _ratio(line), line["goal"], "yes" if line["met"] else "no")


def _ratio(line: Line) -> str:
    bounds = line.get("interval")
    return f"{line['ratio']:.2f}" + (f" ({bounds[0]:.2f} to {bounds[1]:.2f})" if bounds else "")


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key} {_plain(one)}" for key, one in value.items()) + ")"
    if isinstance(value, list):
        return " to ".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _machines(lines: Iterable[Line]) -> str:
    """One sentence for each machine (and load) that lines were measured on."""
    by_machine: dict[str, set[str]] = {}
    for line in lines:
        facts = {key: value for key, value in line["machine"].items() if key != "load_1m"}
        by_machine.setdefault(", ".join(f"{key} {value}" for key, value in facts.items()), set()).add(line["name"])
    if len(by_machine) == 1:
        return f"Measured on: {next(iter(by_machine))}."
    return "\n".join(f"* {machine}: {', '.join(sorted(names))}" for machine, names in by_machine.items())
