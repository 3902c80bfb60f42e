"""Measuring one benchmark again replaces its lines and no others."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import results
from benchmarks.harness import faster
from benchmarks.ring_vs_one_process import phases

ORDER = ("hf", "bus")


def a_line(name: str, ours: float = 2.0, cores: int = 2) -> dict[str, Any]:
    return faster(name, ours, "tokens/s", "peer", 1.0, 1.5).to_json({"cores": cores, "load_1m": 0.1})


def names(lines: list[results.Line]) -> list[str]:
    return [line["name"] for line in lines]


def test_lines_measured_again_replace_all_of_their_benchmark() -> None:
    old = [a_line("hf"), a_line("bus.produce"), a_line("bus.consume")]
    merged = results.merge(old, [a_line("bus.produce", 9.0)], ORDER)
    assert names(merged) == ["hf", "bus.produce"]
    assert merged[1]["value"] == 9.0


def test_lines_stand_in_the_order_of_the_benchmarks() -> None:
    assert names(results.merge([a_line("bus.produce")], [a_line("hf")], ORDER)) == ["hf", "bus.produce"]


def test_lines_of_a_benchmark_that_is_gone_go_with_it() -> None:
    assert names(results.merge([a_line("gone"), a_line("hf")], [a_line("bus")], ORDER)) == ["hf", "bus"]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert results.read(path) == []
    results.write([a_line("hf")], path)
    assert results.read(path) == [a_line("hf")]


def test_the_table_stands_between_its_marks_and_is_replaced_whole(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{results.BEGIN}\nold table\n{results.END}\nafter\n")
    for ours in (2.0, 1.0):
        results.show_in_readme([a_line("hf", ours)], readme)
    text = readme.read_text()
    assert text.startswith(f"before\n{results.BEGIN}\n| benchmark |")
    assert text.endswith(f"{results.END}\nafter\n")
    assert "| hf | 1 tokens/s | 1 (peer) | 1.00 | >= 1.5 | no |" in text
    assert "old table" not in text
    assert text.count("| hf |") == 1


def test_lines_from_two_machines_name_both() -> None:
    text = results.as_markdown([a_line("hf")])
    assert "cores" not in text
    shown = results._machines([a_line("hf"), a_line("bus", cores=8)])
    assert shown == "* cores 2: hf\n* cores 8: bus"


def test_phases_of_a_play_add_up_to_it() -> None:
    rounds = [
        {"steps": [], "evaluation_seconds": 2.0},
        {"steps": [{"role": "defender", "seconds": 3.0}, {"role": "attacker", "seconds": 1.0}], "evaluation_seconds": 1.5},
    ]
    assert phases(10.0, rounds) == pytest.approx(
        {"learning_defender": 3.0, "learning_attacker": 1.0, "evaluating": 3.5, "waiting": 2.5}
    )
