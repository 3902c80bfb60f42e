"""The command line as a person meets it: arguments in, lines and an exit status out."""

import json
from pathlib import Path

import pytest

from harden.cli.main import run
from harden.domain.round import RunFinished
from harden.topics import CATALOGUE
from tests.support import facts
from tests.unit.cli.builders import a_kept_run

NO_BROKER = "127.0.0.1:1"


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What was said on stderr, which must be one line without a traceback."""
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("arguments", "names", "remedy"),
    [
        (["polcy", "list"], "polcy", "--help"),
        (["policy", "lst"], "lst", "--help"),
        (["demo", "--sed", "1"], "--sed", "--help"),
        (["demo", "--seed", "one"], "one", "--help"),
        (["demo", "--seed", "-1"], "seed", "demo.yaml"),
        (["demo", "--rounds", "0"], "rounds", "demo.yaml"),
        (["demo", "--replicas", "judge"], "judge", "judge=2"),
        (["demo", "--replicas", "judge=0"], "judge=0", "from 1 to"),
        (["demo", "--replicas", "trainer=2"], "trainer", "fenced off"),
        (["demo", "--replicas", "cook=2"], "cook", "attacker"),
        (["run", "nowhere.yaml"], "nowhere.yaml", "path of a YAML file"),
        (["report", "nowhere"], "nowhere", "harden demo"),
        (["bout", "show", "xyz"], "xyz", "first 6 digits"),
        (["bout", "show", "abcdef", "--run", "nowhere"], "nowhere", "make demo"),
        (["bout", "show", "abcdef", "--run", "a", "--kafka", "b:1"], "--kafka", "one of them"),
        (["policy", "list", "--kafka", "not an address"], "BOOTSTRAP_SERVERS", "pattern"),
        (["policy", "list", "--kafka", NO_BROKER], NO_BROKER, "broker"),
        (["dead-letters", "list", "--topic", "potions"], "potions", "bouts"),
        (["world", "sample", "--suite", "nope"], "nope", "listed_never_attacked"),
        (["world", "sample", "--category", "nope"], "nope", "harmful"),
        (["world", "sample", "-n", "0"], "--count", "at least 1"),
    ],
)
def test_what_is_wrong_gets_one_line_that_names_it_and_the_remedy(
    arguments: list[str],
    names: str,
    remedy: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARDEN_KAFKA__CONNECT_TIMEOUT_S", "0.5")
    assert run(arguments) == 2
    said = one_line(capsys)
    assert names in said
    assert remedy in said


def test_without_java_nothing_starts_and_the_last_run_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = a_kept_run(tmp_path / "run", facts.a_round(0)).root
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["demo", "--run-dir", str(root)]) == 2
    said = one_line(capsys)
    assert "Java is missing" in said
    assert "harden demo --in-process" in said
    assert (root / "events.binpb").exists()


def test_an_experiment_with_an_unknown_key_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nflavour: bitter\n")
    assert run(["run", str(path)]) == 2
    assert "flavour" in one_line(capsys)


def test_an_unknown_setting_is_named_before_anything_starts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARDEN_KAFKA__BOOTSTRAP_SERVER", "localhost:9092")
    assert run(["policy", "list"]) == 2
    assert "HARDEN_KAFKA__BOOTSTRAP_SERVERS" in one_line(capsys)


def test_the_list_of_topics_is_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["topics", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in listed] == [topic.name for topic in CATALOGUE]
    assert run(["topics", "list"]) == 0
    shown = capsys.readouterr().out
    assert all(topic.name in shown for topic in CATALOGUE)


def test_samples_of_the_arena_are_the_same_for_the_same_seed(capsys: pytest.CaptureFixture[str]) -> None:
    drawn = []
    for seed in ("1", "1", "2"):
        assert run(["world", "sample", "-n", "3", "--seed", seed, "--json"]) == 0
        drawn.append(json.loads(capsys.readouterr().out))
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(row["attack"] and row["seed"] for row in drawn[0])


def test_a_report_can_be_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = a_kept_run(tmp_path / "run", facts.a_round(0, k=4), facts.a_round(1, k=0), RunFinished("run-0", 7, None, 1.0)).root
    assert run(["report", str(root), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((root / "report.json").read_text())
    assert (root / "report.html").read_text().startswith("<!doctype html>")
    assert run(["report", str(root)]) == 0
    assert "50.0% ->   0.0%" in capsys.readouterr().out


@pytest.mark.parametrize("command", [[], ["policy"], ["bout"], ["dead-letters"], ["topics"], ["world"], ["seeds"]])
def test_every_noun_explains_itself(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    assert "Usage" in capsys.readouterr().out
