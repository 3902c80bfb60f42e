"""Every container gets an environment that its service accepts, and no page or manifest names a setting that is none."""

import os
import re

import pytest
import yaml

from harden.config import setting_names
from harden.trainer import experiment
from tests.deploy import deployed
from tests.deploy.deployed import Container, Document

# A name of ours in any text. In documents `HARDEN_ADMIN__...` and the like stand for many.
SETTING = re.compile(r"\bHARDEN_[A-Z][A-Z0-9_]*[A-Z0-9]\b(?!_*\.\.\.)")


def accepted(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    assert container.package, f"{container.where} gets settings and runs nothing of ours"
    for name in [name for name in os.environ if name.startswith("HARDEN_")]:
        monkeypatch.delenv(name)
    for name, value in container.settings.items():
        monkeypatch.setenv(name, value)
    deployed.config_class(container.package)()


def told_what_they_need(containers: list[Container]) -> None:
    ours = [c for c in containers if c.package and c.package != "harden.cli"]
    assert {c.name for c in ours} == {*deployed.SERVICES, "triton"}
    for container in ours:
        for name in ("HARDEN_KAFKA__BOOTSTRAP_SERVERS", "HARDEN_ADMIN__HOST", "HARDEN_ADMIN__PORT", "HARDEN_STORE__URI"):
            assert name in container.settings, f"{container.where} is not told {name}"


def test_compose_settings_are_accepted_by_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    containers = deployed.compose_containers()
    told_what_they_need(containers)
    for container in containers:
        if container.settings:
            accepted(container, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("tree", ["base", "example"])
def test_kubernetes_settings_are_accepted_by_the_services(
    tree: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    documents: list[Document] = request.getfixturevalue(tree)
    containers = deployed.kube_containers(documents)
    told_what_they_need(containers)
    for container in containers:
        if container.settings:
            accepted(container, monkeypatch)


def test_every_setting_named_in_deploy_or_the_runbook_is_known() -> None:
    modules = sorted((deployed.ROOT / "services" / "harden").glob("*/config.py"))
    trees = [deployed.config_class(f"harden.{path.parent.name}") for path in modules]
    known = {name for tree in trees for name, _ in setting_names(tree)}
    named = {
        (path.relative_to(deployed.ROOT), name)
        for path in deployed.deploy_files()
        for name in SETTING.findall(path.read_text(encoding="utf-8", errors="replace"))
    }
    assert named, "nothing in deploy/ sets anything"
    assert not {(str(path), name) for path, name in named if name not in known}


@pytest.mark.slow
def test_the_experiment_of_the_example_is_one_the_trainer_reads(example: list[Document]) -> None:
    volumes = deployed.named(example, "Deployment", "trainer")["spec"]["template"]["spec"]["volumes"]
    (name,) = [volume["configMap"]["name"] for volume in volumes if volume["name"] == "experiment"]
    text = deployed.named(example, "ConfigMap", name)["data"]["experiment.yaml"]
    assert experiment.parse(yaml.safe_load(text), name).defender.steps > 0


@pytest.mark.slow
@pytest.mark.parametrize("tree", ["base", "example"])
def test_files_that_settings_name_are_mounted(tree: str, request: pytest.FixtureRequest) -> None:
    """A path in a setting that is under no mount would be missing or lost with the container."""
    for container in deployed.kube_containers(request.getfixturevalue(tree)):
        assert_mounted(container)


def test_files_that_compose_settings_name_are_mounted() -> None:
    for container in deployed.compose_containers():
        assert_mounted(container)


def assert_mounted(container: Container) -> None:
    for name, value in container.settings.items():
        paths = deployed.json_list(value) if value.startswith("[") else [value.removeprefix("file://")]
        for path in paths:
            if path.startswith("/"):
                under = [mount for mount in container.mounts if path == mount or path.startswith(mount + "/")]
                assert under, f"{container.where}: {name}={path} is under no mount"
