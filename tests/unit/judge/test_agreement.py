"""Agreement of judges with people: on invented rows, as it is written down, and, where the rows are fetched, measured again."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harden.cli.main import run
from harden.domain.errors import SetupError
from harden.domain.verdict import Refusal
from harden.judge import agreement, labelled
from harden.judge.labelled import LabelledAnswer
from harden.judge.members.refusal import RefusalClassifier
from harden.judge.panels import member_of

ROOT = Path(__file__).resolve().parents[3]
WRITTEN = Path(__file__).with_name("agreement")
JUDGES = sorted(path.stem for path in WRITTEN.glob("*.json"))
FETCHED = ROOT / ".cache/labelled"
PAGE = ROOT / "docs/judges.md"
DECLINED = "I can't help with that."


def written(judge: str) -> dict[str, Any]:
    """The judge's agreement as it was measured: counts, and no text."""
    return json.loads((WRITTEN / f"{judge}.json").read_text(encoding="utf-8"))


def a_row(answer: str, label: Refusal = Refusal.NONE, file: str = "a.csv", request: str = "which soup") -> LabelledAnswer:
    return LabelledAnswer("refusal", file, request, answer, label)


def a_pyrit(root: Path) -> Path:
    """A directory as `pip install --target` leaves it, with invented rows."""
    evals = root / "pyrit/datasets/scorer_evals"
    columns = ["objective", "assistant_response", "human_score", "data_type"]
    files = {
        "refusal_scorer/refusal.csv": [
            ("which soup", DECLINED, "1"),
            ("which soup", "barley\n# salt", "0"),
            ("hm", "pea", "1"),
        ],
        "refusal_scorer/refusal_extra.csv": [("which stew", "lentils and\n## pepper", "0")],
        "objective/soup.csv": [("which soup", "leek", "1"), ("which soup", "I won't.", "0")],
    }
    for name, rows in files.items():
        (evals / name).parent.mkdir(parents=True, exist_ok=True)
        with (evals / name).open("w", encoding="utf-8", newline="") as file:
            file.write("# dataset_version=1.0,,,\n# two lines of comment\n")
            csv.writer(file).writerows([columns, *((*row, "text") for row in rows)])
    about = root / "pyrit-1.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.4\nName: pyrit\nVersion: 1.1.0\nLicense-Expression: MIT\n", "utf-8")
    return root


def test_rates_follow_from_the_counts() -> None:
    facts = agreement.facts(
        {("full", "full"): 6, ("full", "partial"): 2, ("full", "none"): 2, ("none", "none"): 9, ("none", "full"): 1}
    )
    assert facts["n"] == 20
    assert facts["refused"][:3] == [17, 20, 0.85]
    assert facts["class"][:3] == [15, 20, 0.75]
    assert facts["precision"][:3] == [8, 9, 0.8889]
    assert facts["recall"][:3] == [8, 10, 0.8]
    assert all(low <= rate <= high for _, _, rate, low, high in (facts["refused"], facts["class"]))


def test_a_judge_without_an_opinion_agrees_with_nobody() -> None:
    facts = agreement.facts({("none", "unscoreable"): 1, ("full", "unscoreable"): 1})
    assert (facts["refused"][0], facts["class"][0], facts["recall"][0]) == (0, 0, 0)


def test_halves_are_the_same_every_time_and_equal_answers_stand_on_one_side() -> None:
    rows = [a_row(f"answer {i % 30}", (Refusal.NONE, Refusal.FULL)[i % 2], f"{i % 3}.csv", f"request {i}") for i in range(120)]
    halves = labelled.split(rows)
    assert {(row.request, row.split) for row in halves} == {(row.request, row.split) for row in labelled.split(rows[::-1])}
    sides: dict[str, set[str]] = {}
    for row in halves:
        sides.setdefault(row.answer, set()).add(row.split)
    assert all(len(side) == 1 for side in sides.values())
    assert labelled.split([a_row("Barley, SALT")])[0].split == labelled.split([a_row("barley salt!")])[0].split


def test_every_file_and_label_is_halved() -> None:
    rows = [
        a_row(f"{file} {label} {i}", label, file) for file in "ab" for label in (Refusal.NONE, Refusal.FULL) for i in range(20)
    ]
    counts = Counter((row.file, row.label, row.split) for row in labelled.split(rows))
    assert set(counts.values()) == {10}


def test_rows_of_pyrit_are_read_where_they_lie(tmp_path: Path) -> None:
    found = labelled.find(a_pyrit(tmp_path))
    assert (found.source, found.licence) == ("pyrit 1.1.0", "MIT")
    assert sorted((row.of, row.answer, row.label.value) for row in found.rows) == [
        ("objective", "I won't.", "full"),
        ("objective", "leek", "none"),
        ("refusal", DECLINED, "full"),
        ("refusal", "barley\n# salt", "none"),
        ("refusal", "lentils and\n## pepper", "none"),
        ("refusal", "pea", "full"),
    ]


def test_rows_of_xstest_have_three_classes(tmp_path: Path) -> None:
    with (tmp_path / "xstest_v2_completions_cook.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([
            ("id", "type", "prompt", "completion", "annotation_1", "annotation_2", "agreement", "final_label"),
            ("1", "homonyms", "which soup", "barley", "", "", "TRUE", "1_full_compliance"),
            ("2", "homonyms", "which soup", DECLINED, "", "", "TRUE", "2_full_refusal"),
            ("3", "homonyms", "which soup", "Not soup. Stew.", "", "", "TRUE", "3_partial_refusal"),
            ("4", "homonyms", "which soup", "hm", "", "", "FALSE", ""),
        ])  # fmt: skip
    found = labelled.find(tmp_path)
    assert sorted(row.label.value for row in found.rows) == ["full", "none", "partial"]
    assert {row.of for row in found.rows} == {"xstest"}


def test_what_is_missing_is_named_with_what_to_do(tmp_path: Path) -> None:
    for directory, names in (
        (tmp_path / "nowhere", "is no directory"),
        (tmp_path, "holds neither pyrit nor completions of XSTest"),
    ):
        with pytest.raises(SetupError, match=rf"{names}.*pip install --no-deps --target DIR pyrit==1\.1\.0"):
            labelled.find(directory)


def test_the_command_prints_tables_and_no_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_pyrit(tmp_path)
    assert run(["judge", "agreement", "--rows", str(tmp_path), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert (measured["judge"], measured["version"]) == (RefusalClassifier.name, RefusalClassifier.version)
    assert sum(table["n"] for table in measured["tables"]) == 6
    assert run(["judge", "agreement", "--rows", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "pyrit 1.1.0, licence MIT" in said
    assert not any(word in said for word in ("barley", "soup", "leek", DECLINED))


def test_a_judge_that_is_not_asked_about_refusals_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["judge", "agreement", "nobody", "--rows", str(a_pyrit(tmp_path))]) == 2
    assert "no judge 'nobody'" in capsys.readouterr().err


def test_the_installed_judges_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["judge", "list", "--json"]) == 0
    assert {"refusal_wording", "refusal_or_unrelated"} <= set(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("judge", JUDGES)
def test_what_is_written_down_is_of_the_judge_that_ships_and_adds_up(judge: str) -> None:
    measured = written(judge)
    assert measured["version"] == member_of(judge, {}).version, (
        "the judge has changed: measure again, and correct docs/judges.md"
    )
    for table in measured["tables"]:
        counts = {tuple(pair.split("/")): count for pair, count in table["counts"].items()}
        assert {"set": table["set"], "split": table["split"], **agreement.facts(counts)} == table


@pytest.mark.parametrize("judge", JUDGES)
def test_the_page_on_judges_says_what_is_written_down(judge: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    for table in written(judge)["tables"]:
        rates = (
            f"{100 * rate:.1f}% [{100 * low:.1f}, {100 * high:.1f}]"
            for _, _, rate, low, high in (table["refused"], table["class"])
        )
        counts = (f"{100 * table[name][2]:.0f}%" for name in ("precision", "recall"))
        row = " | ".join((f"`{judge}`", table["set"], table["split"], str(table["n"]), *rates, *counts))
        assert f"| {row} |" in page


@pytest.mark.labelled
@pytest.mark.parametrize("judge", JUDGES)
def test_measured_again_it_is_what_is_written_down(judge: str) -> None:
    assert (FETCHED / "pyrit").is_dir(), "these tests need answers that people labelled; run tools/setup/labelled.sh"
    assert agreement.measure(member_of(judge, {}), labelled.find(FETCHED)) == written(judge)
