"""Alerts ask for metrics that exist, by labels they have; each has a runbook entry and tests that make it fire and not fire."""

import re
import subprocess
from pathlib import Path

import pytest

from harden import metrics
from harden.metrics import Type
from tests.deploy import deployed

METRIC = re.compile(r"\bharden_[a-z0-9_]+\b")
SELECTOR = re.compile(r"\b(harden_[a-z0-9_]+|up)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"\b(?:by|on|ignoring|without|group_left|group_right)\s*\(([^)]*)\)")
# What Prometheus adds itself.
SCRAPE_LABELS = {"job", "instance"}
ALERT_FILES = sorted((deployed.MONITORING / "tests").glob("*.yaml"))


def test_every_metric_named_in_deploy_or_the_runbook_is_in_the_catalogue() -> None:
    named = {(path, name) for path in deployed.deploy_files() for name in METRIC.findall(path.read_text(errors="replace"))}
    assert len({name for _, name in named}) > 5
    for path, name in named:
        try:
            metrics.by_name(name)
        except KeyError:
            pytest.fail(f"{path.relative_to(deployed.ROOT)} names {name}, which nothing exports")


@pytest.mark.parametrize("name", deployed.alerts())
def test_alert_uses_labels_that_its_metrics_have(name: str) -> None:
    rule = deployed.alerts()[name]
    have: set[str] = set(SCRAPE_LABELS)
    for metric, matchers in SELECTOR.findall(rule["expr"]):
        labels = SCRAPE_LABELS if metric == "up" else {*SCRAPE_LABELS, *metrics.by_name(metric).labels}
        asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        assert asked <= labels, f"{metric} has no label {asked - labels}"
        have |= labels
    for group in GROUPED.findall(rule["expr"]):
        assert {label.strip() for label in group.split(",")} <= have
    in_text = re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values()))
    assert set(in_text) <= have


@pytest.mark.parametrize("name", deployed.alerts())
def test_alert_reads_counters_as_counters_and_gauges_as_gauges(name: str) -> None:
    expression = deployed.alerts()[name]["expr"]
    for metric in set(METRIC.findall(expression)):
        is_counter = metrics.by_name(metric).type is Type.COUNTER
        rated = re.search(rf"(increase|rate)\({metric}(\{{[^}}]*\}})?\[", expression) is not None
        assert rated == is_counter, metric


def test_alerts_and_the_runbook_ask_for_nothing_that_the_code_never_makes() -> None:
    sources = [p for folder in ("shared", "services") for p in (deployed.ROOT / folder).rglob("*.py")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    made = {m.name for constant, m in vars(metrics).items() if isinstance(m, metrics.Metric) and f"metrics.{constant}" in code}
    texts = [(deployed.MONITORING / "alerts.yaml").read_text(), deployed.RUNBOOK.read_text()]
    asked = {metrics.by_name(name).name for text in texts for name in METRIC.findall(text)}
    assert asked <= made


def test_values_of_job_labels_are_scrape_jobs() -> None:
    jobs = set(deployed.scrape_jobs())
    texts = [(deployed.MONITORING / "alerts.yaml").read_text(), *(path.read_text() for path in ALERT_FILES)]
    named = {job for text in texts for value in re.findall(r'job=~?"([^"]+)"', text) for job in value.split("|")}
    assert named
    assert named <= jobs


def test_every_job_is_missed_when_it_is_gone() -> None:
    expression = deployed.alerts()["ServiceDown"]["expr"]
    for job in deployed.scrape_jobs():
        assert f'absent(up{{job="{job}"}})' in expression


@pytest.mark.parametrize("name", deployed.alerts())
def test_alert_has_a_runbook_entry(name: str) -> None:
    rule = deployed.alerts()[name]
    assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
    assert rule["labels"]["severity"] in {"page", "ticket"}
    entry = runbook_entries()[name]
    for part in ("**Means:**", "**Look:**", "**Do:**"):
        assert part in entry, f"the entry {name} lacks {part}"


def test_every_runbook_entry_of_an_alert_belongs_to_one() -> None:
    assert set(runbook_entries()) == set(deployed.alerts())


def runbook_entries() -> dict[str, str]:
    """Heading -> text, of the chapter about alerts."""
    chapter = deployed.RUNBOOK.read_text(encoding="utf-8").split("\n## Alerts\n")[1].split("\n## ")[0]
    parts = re.split(r"^### (\w+)$", chapter, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("name", deployed.alerts())
def test_alert_is_tested_both_firing_and_silent(name: str) -> None:
    tests = [case for path in ALERT_FILES for test in deployed.read(path)["tests"] for case in test["alert_rule_test"]]
    of_this = [bool(case["exp_alerts"]) for case in tests if case["alertname"] == name]
    assert True in of_this, f"no test makes {name} fire"
    assert False in of_this or name == "ServiceDown", f"no test keeps {name} silent"


def test_every_alert_test_is_about_an_alert() -> None:
    named = {c["alertname"] for path in ALERT_FILES for t in deployed.read(path)["tests"] for c in t["alert_rule_test"]}
    assert named <= set(deployed.alerts())


def ran(promtool: Path, *arguments: str | Path) -> None:
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.prometheus
def test_prometheus_accepts_its_configuration(promtool: Path) -> None:
    ran(promtool, "check", "config", deployed.MONITORING / "prometheus.yaml")


@pytest.mark.prometheus
@pytest.mark.parametrize("path", ALERT_FILES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should(promtool: Path, path: Path) -> None:
    ran(promtool, "test", "rules", path)


@pytest.mark.prometheus
def test_an_alert_that_does_not_fire_is_noticed(promtool: Path, tmp_path: Path) -> None:
    """The tool that says yes above also says no."""
    (tmp_path / "alerts.yaml").write_text((deployed.MONITORING / "alerts.yaml").read_text().replace("> 0.9", "> 1.9"))
    text = (deployed.MONITORING / "tests" / "quality.yaml").read_text().replace("../alerts.yaml", "alerts.yaml")
    (tmp_path / "quality.yaml").write_text(text)
    done = subprocess.run([promtool, "test", "rules", tmp_path / "quality.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "NothingToLearn" in done.stdout + done.stderr
