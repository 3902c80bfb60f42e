"""A study: its file, its jobs, its figures."""

import json
from pathlib import Path

import pytest

from harden.domain.errors import SetupError
from harden.studies import study as studies
from harden.studies.jobs import Jobs
from harden.studies.measures import difference, mean_of, value_of
from harden.studies.report import gather, to_markdown, to_page
from harden.trainer import experiment as experiments

SHIPPED = experiments.shipped("ablations")

TEXT = """
name: small
base: demo
worlds: [arena, arena_b]
seeds: [1, 2]
reference: shipped
arms:
  shipped: {title: as shipped}
  frozen: {title: attacker frozen, changes: {attacker.steps: 0}}
measures: {attack_success.trained: ASR}
"""


def _load(tmp_path: Path, text: str = TEXT) -> studies.Planned:
    (tmp_path / "study.yaml").write_text(text)
    return studies.load(tmp_path / "study.yaml")


def test_every_arm_is_played_in_every_world_with_every_seed(tmp_path: Path) -> None:
    jobs = _load(tmp_path).jobs
    assert len({job.path for job in jobs}) == 8
    assert {(job.world, job.seed) for job in jobs if job.arm == "frozen"} == {
        ("arena", 1), ("arena", 2), ("arena_b", 1), ("arena_b", 2),
    }  # fmt: skip


def test_an_arm_differs_from_the_base_in_its_changes_alone(tmp_path: Path) -> None:
    jobs = {(job.arm, job.world, job.seed): job.experiment for job in _load(tmp_path).jobs}
    shipped, frozen = jobs["shipped", "arena", 1], jobs["frozen", "arena", 1]
    assert shipped.attacker.steps > frozen.attacker.steps == 0
    same = frozen.model_copy(update={"attacker": shipped.attacker, "name": shipped.name})
    assert same == shipped


def test_the_ablations_that_ship_use_as_many_bouts_and_steps_in_every_arm() -> None:
    for job in studies.load(SHIPPED).jobs:
        part = job.experiment.defender
        if job.arm != "guard":
            assert (part.steps, part.settings.bouts_per_step) == (9, 48)
            shares = sum(one.share for one in part.settings.mix if one.category == "harmful")
            assert shares == pytest.approx(0.37), job.arm


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("reference: shipped", "reference: other", "there is no arm 'other'"),
        ("seeds: [1, 2]", "seeds: [1, 1]", "twice"),
        ("seeds: [1, 2]", "seeds: [1]", "at least 2"),
        ("attacker.steps: 0", "attacker.stepps: 0", r"arm frozen: attacker\.stepps"),
        ("attacker.steps: 0", "world.of.potions: 0", "world has no keys of its own"),
        ("base: demo", "base: nothing.yaml", "cannot read the base experiment"),
        ("worlds: [arena, arena_b]", "worlds: [atlantis]", "atlantis"),
        ("attack_success.trained: ASR", "trained: ASR", "a path is two or three names"),
    ],
)
def test_a_wrong_file_is_refused_with_what_to_mend(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(SetupError, match=said):
        _load(tmp_path, TEXT.replace(old, new))


def test_the_protocol_names_the_study_and_its_base(tmp_path: Path) -> None:
    assert _load(tmp_path).protocol == _load(tmp_path).protocol
    assert _load(tmp_path).protocol != _load(tmp_path, TEXT.replace("seeds: [1, 2]", "seeds: [1, 3]")).protocol


def test_values_come_from_the_last_round_or_from_the_run() -> None:
    rate = {"k": 1, "n": 4, "rate": 0.25, "low": 0.0, "high": 0.7}
    report = {
        "rounds": [{"attack_success": {"trained": {**rate, "rate": 0.9}}}, {"attack_success": {"trained": rate}}],
        "best_response": {"trained": {"after": {**rate, "rate": 0.5}, "families": 3.5}},
    }
    assert value_of(report, "attack_success.trained") == 0.25
    assert value_of(report, "best_response.trained.after") == 0.5
    assert value_of(report, "best_response.trained.families") == 3.5
    with pytest.raises(SetupError, match="there is no 'other' in their reports"):
        value_of(report, "attack_success.other")


def test_a_difference_is_taken_in_pairs() -> None:
    """Runs vary by .4, their differences not at all: only pairs show that."""
    reference = {("a", 1): 0.1, ("a", 2): 0.5, ("b", 1): 0.3}
    arm = {run: value + 0.2 for run, value in reference.items()} | {("b", 2): 0.9}
    change = difference(arm, reference)
    assert (change.mean, change.n) == (pytest.approx(0.2), 3)
    assert change.high - change.low == pytest.approx(0.0, abs=1e-9)
    spread = mean_of(reference)
    # t(2) = 4.303, standard deviation .2
    assert spread.high - spread.mean == pytest.approx(4.303 * 0.2 / 3**0.5, rel=1e-3)


def test_table_and_page_show_every_arm_and_mark_what_differs() -> None:
    clear = {"mean": {"mean": 0.3, "low": 0.2, "high": 0.4, "n": 4}, "by_world": {"arena": 0.3}}
    report = {
        "name": "small", "command": "harden <study>", "protocol": "sha256:0", "split": ["final"], "worlds": ["arena"],
        "seeds": [1, 2], "runs": {"planned": 4, "finished": 4}, "interval": "95%", "reference": "shipped",
        "measures": {"attack_success.trained": "ASR"},
        "arms": {
            "shipped": {"title": "as shipped", "measures": {"attack_success.trained": {**clear, "against_reference": None}}},
            "frozen": {
                "title": "attacker <frozen>",
                "measures": {
                    "attack_success.trained": {**clear, "against_reference": {"mean": 0.1, "low": 0.05, "high": 0.15, "n": 4}}
                },
            },
        },
    }  # fmt: skip
    assert "| ASR | .30 | .30, **+.10 (+.05 to +.15)** |" in to_markdown(report)
    page = to_page(report)
    assert "attacker &lt;frozen&gt;" in page
    assert "<frozen>" not in page
    assert 'class="clear"' in page


def test_a_report_is_made_of_the_runs_that_are_finished(tmp_path: Path) -> None:
    planned = _load(tmp_path, TEXT.replace("seeds: [1, 2]", "seeds: [1, 2, 3]"))
    out = tmp_path / "out"
    for job in planned.jobs:
        if job.seed == 3 and job.arm == "frozen":
            continue
        home = out / job.path
        home.mkdir(parents=True)
        (home / "experiment.yaml").write_text(experiments.dump(job.experiment))
        rate = 0.1 * job.seed + (0.05 if job.arm == "frozen" else 0.0)
        rounds = [{"attack_success": {"trained": {"rate": rate}}}]
        (home / "report.json").write_text(json.dumps({"ok": True, "split": "final", "rounds": rounds}))
        assert Jobs(out).is_finished(job)
    made = gather(planned, Jobs(out), "harden study run study.yaml")
    assert (made["ok"], made["runs"], made["split"]) == (False, {"planned": 12, "finished": 10}, ["final"])
    frozen = made["arms"]["frozen"]["measures"]["attack_success.trained"]
    assert (frozen["mean"]["n"], frozen["against_reference"]["n"]) == (4, 4)
    assert frozen["against_reference"]["mean"] == pytest.approx(0.05)
    assert frozen["by_world"] == {"arena": pytest.approx(0.2), "arena_b": pytest.approx(0.2)}
    assert made["arms"]["shipped"]["measures"]["attack_success.trained"]["mean"]["mean"] == pytest.approx(0.2)

    changed = _load(tmp_path, TEXT.replace("attacker.steps: 0", "attacker.steps: 1"))
    with pytest.raises(SetupError, match="the study has changed since"):
        gather(changed, Jobs(out), "harden study run study.yaml")
