"""The manifests that kustomize makes: valid against Kubernetes' own schemas, and right where no schema looks."""

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harden.config import WorkerSettings
from harden.topics import CATALOGUE
from harden.trainer.config import TrainerSettings
from tests.deploy import deployed
from tests.deploy.deployed import Document
from tests.deploy.reach import selects

pytestmark = pytest.mark.slow

KUBERNETES = "k8s.io/kubernetes@v1.36.3"
KUBERNETES_VERSION = KUBERNETES.rpartition("@v")[2]
# Kinds the manifests may use. Anything else is a mistake or a decision to take here.
KINDS = {
    "Namespace", "ServiceAccount", "ConfigMap", "Deployment", "Service", "Job", "PersistentVolumeClaim",
    "PodDisruptionBudget", "NetworkPolicy",
}  # fmt: skip


@pytest.fixture(params=["base", "example"])
def documents(request: pytest.FixtureRequest) -> list[Document]:
    found: list[Document] = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def schemas() -> Path:
    """Kubernetes' own OpenAPI definitions as one strict JSON schema for each kind used here."""
    folder = deployed.ROOT / ".cache" / f"kube-schemas-{KUBERNETES_VERSION}"
    if not (folder / "done").exists():
        done = subprocess.run(["go", "mod", "download", "-json", KUBERNETES], capture_output=True, text=True, check=True)
        swagger = Path(json.loads(done.stdout)["Dir"]) / "api" / "openapi-spec" / "swagger.json"
        write_schemas(json.loads(swagger.read_text(encoding="utf-8"))["definitions"], folder)
        (folder / "done").write_text(hashlib.sha256(swagger.read_bytes()).hexdigest(), encoding="utf-8")
    return folder


def write_schemas(definitions: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for definition in definitions.values():
        # As `kubectl --validate=strict`: a field no definition knows is an error.
        if "properties" in definition:
            definition.setdefault("additionalProperties", False)
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            if kind["kind"] in KINDS:
                group = kind["group"].split(".")[0]
                file = "-".join(part for part in (kind["kind"].lower(), group, kind["version"]) if part)
                schema = {
                    "$ref": f"#/definitions/{name}",
                    "definitions": {k: definitions[k] for k in closure(definitions, name)},
                }
                (folder / f"{file}.json").write_text(patched(json.dumps(schema)), encoding="utf-8")


def closure(definitions: dict[str, Any], name: str) -> set[str]:
    """The definition and all that it leads to."""
    found: set[str] = set()
    open_names = [name]
    while open_names:
        current = open_names.pop()
        if current not in found:
            found.add(current)
            open_names += re.findall(r'"#/definitions/([^"]+)"', json.dumps(definitions[current]))
    return found


def patched(schema: str) -> str:
    # OpenAPI 2 has no way to say "a number or a string"; the format says it instead.
    return schema.replace('"format": "int-or-string", "type": "string"', '"type": ["string", "integer"]').replace(
        '"type": "string", "format": "int-or-string"', '"type": ["string", "integer"]'
    )


def validate(kubeconform: Path, schemas: Path, text: str) -> subprocess.CompletedProcess[str]:
    location = str(schemas / "{{.ResourceKind}}{{.KindSuffix}}.json")
    return subprocess.run(
        [kubeconform, "-strict", "-summary", "-schema-location", location],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


def test_kubernetes_own_schemas_accept_every_object(documents: list[Document], kubeconform: Path, schemas: Path) -> None:
    done = validate(kubeconform, schemas, yaml.safe_dump_all(documents))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(documents)} resources found" in done.stdout
    assert "Skipped: 0" in done.stdout


def test_the_schemas_refuse_a_field_that_is_misspelt(base: list[Document], kubeconform: Path, schemas: Path) -> None:
    wrong = json.loads(json.dumps(deployed.named(base, "Deployment", "judge")))
    wrong["spec"]["template"]["spec"]["serviceAcountName"] = "judge"
    done = validate(kubeconform, schemas, yaml.safe_dump(wrong))
    assert done.returncode != 0
    assert "serviceAcountName" in done.stdout


def test_only_known_kinds_and_one_namespace(documents: list[Document]) -> None:
    assert {d["kind"] for d in documents} <= KINDS
    for document in documents:
        if document["kind"] != "Namespace":
            assert document["metadata"]["namespace"] == "harden", document["metadata"]["name"]


def test_no_secret_is_in_the_manifests(documents: list[Document]) -> None:
    assert not deployed.of_kind(documents, "Secret")
    assert "PRIVATE KEY" not in yaml.safe_dump_all(documents)


def test_selectors_meet_their_pods(documents: list[Document]) -> None:
    pods = [template["metadata"]["labels"] for _, template in deployed.pod_templates(documents)]
    for document in deployed.of_kind(documents, "Deployment"):
        assert selects(document["spec"]["selector"], document["spec"]["template"]["metadata"]["labels"])
    for document in deployed.of_kind(documents, "Service"):
        assert any(selects({"matchLabels": document["spec"]["selector"]}, labels) for labels in pods), document["metadata"]
    for document in deployed.of_kind(documents, "PodDisruptionBudget"):
        met = [labels for labels in pods if selects(document["spec"]["selector"], labels)]
        assert len(met) == 1, document["metadata"]["name"]
    for document in deployed.of_kind(documents, "NetworkPolicy"):
        # A policy for pods that are not here (Prometheus in the base) protects nobody, and so does a misspelt one.
        assert any(selects(document["spec"]["podSelector"], labels) for labels in pods), document["metadata"]["name"]


def containers_of(documents: list[Document]) -> Iterator[tuple[str, Document, Document]]:
    for where, template in deployed.pod_templates(documents):
        for container in template["spec"]["containers"]:
            yield where, template["spec"], container


def test_pods_meet_the_restricted_standard(documents: list[Document]) -> None:
    """Pod Security, restricted: what `enforce` on the namespace would refuse."""
    labels = deployed.named(documents, "Namespace", "harden")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert labels["pod-security.kubernetes.io/warn"] == "restricted"
    for where, pod, container in containers_of(documents):
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False, where
        assert own["capabilities"] == {"drop": ["ALL"]}, where
        assert own["readOnlyRootFilesystem"] is True, where
        assert pod["securityContext"]["runAsNonRoot"] is True, where
        assert pod["securityContext"]["runAsUser"] > 0, where
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, where
        for volume in pod.get("volumes", ()):
            assert set(volume) - {"name"} <= {"emptyDir", "configMap", "secret", "persistentVolumeClaim"}, where


def test_pods_get_no_token_and_no_variables_named_after_services(documents: list[Document]) -> None:
    accounts = {d["metadata"]["name"]: d for d in deployed.of_kind(documents, "ServiceAccount")}
    for where, template in deployed.pod_templates(documents):
        pod = template["spec"]
        assert pod["automountServiceAccountToken"] is False, where
        assert accounts[pod["serviceAccountName"]]["automountServiceAccountToken"] is False, where
        assert pod["enableServiceLinks"] is False, f"{where}: a Service could make a HARDEN_ variable that is no setting"


def test_volumes_mounts_and_claims_meet(documents: list[Document]) -> None:
    claims = {d["metadata"]["name"] for d in deployed.of_kind(documents, "PersistentVolumeClaim")}
    for where, pod, container in containers_of(documents):
        volumes = {volume["name"]: volume for volume in pod.get("volumes", ())}
        assert {mount["name"] for mount in container.get("volumeMounts", ())} == set(volumes), where
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims, where


def test_containers_say_what_they_need(documents: list[Document]) -> None:
    for where, _, container in containers_of(documents):
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]), where
        assert "memory" in container["resources"]["limits"], where


def test_there_is_one_trainer_and_the_next_waits_for_it(documents: list[Document]) -> None:
    trainer = deployed.named(documents, "Deployment", "trainer")["spec"]
    assert trainer["replicas"] == 1
    assert trainer["strategy"] == {"type": "Recreate"}
    (container,) = [c for c in deployed.kube_containers(documents) if c.name == "trainer"]
    assert container.settings["HARDEN_TRAINER__RUN_DIR"].startswith("/var/lib/harden/state/")
    replicas = int(container.settings.get("HARDEN_TRAINER__REPLICAS", TrainerSettings().replicas))
    assert replicas == deployed.named(documents, "Deployment", "triton")["spec"]["replicas"]


def test_only_the_trainer_holds_the_signing_key(documents: list[Document]) -> None:
    holders = {where for where, template in deployed.pod_templates(documents) if "harden-signing-key" in json.dumps(template)}
    assert holders == {"Deployment trainer"}


def test_a_group_has_no_more_members_than_partitions(documents: list[Document]) -> None:
    """One more would never be ready, and a rollout would wait for it."""
    for topic in CATALOGUE:
        for reader in topic.read_by:
            name = reader.replace("_", "-")
            if name in deployed.SERVICES and name != "trainer":
                spec = deployed.named(documents, "Deployment", name)["spec"]
                surge = spec["strategy"]["rollingUpdate"]["maxSurge"]
                assert spec["replicas"] + surge <= topic.num_partitions, name


def test_pods_get_longer_to_stop_than_their_work_takes_to_drain(documents: list[Document]) -> None:
    for where, template in deployed.pod_templates(documents):
        if where.removeprefix("Deployment ") in deployed.SERVICES:
            assert template["spec"]["terminationGracePeriodSeconds"] > WorkerSettings().drain_timeout_s, where


def test_what_has_replicas_has_a_disruption_budget(documents: list[Document]) -> None:
    budgets = {d["metadata"]["name"] for d in deployed.of_kind(documents, "PodDisruptionBudget")}
    deployments = {d["metadata"]["name"] for d in deployed.of_kind(documents, "Deployment")}
    assert budgets == deployments - {"trainer", "prometheus"}
