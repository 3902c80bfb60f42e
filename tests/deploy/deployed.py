"""What deploy/ says, read once for all tests here: containers with the environment they would get, from both worlds."""

import importlib
import inspect
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harden.config import ServiceConfig

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "local" / "compose.yaml"
MONITORING = DEPLOY / "monitoring"
RUNBOOK = ROOT / "docs" / "runbook.md"
# What takes part in the ring, under the name its pods, images, containers and scrape jobs have.
SERVICES = ("attacker", "defender-inference", "judge", "trainer")
ADMIN_PATHS = {"live": "/healthz", "ready": "/readyz"}

Document = dict[str, Any]


@dataclass(frozen=True)
class Container:
    """One container of a compose service or a pod. `env` is what it gets, references to ConfigMaps followed."""

    where: str
    name: str
    image: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    ports: Mapping[str, int] = field(default_factory=dict)
    mounts: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, str]:
        return {name: value for name, value in self.env.items() if name.startswith("HARDEN_")}

    @property
    def module(self) -> str | None:
        """The module of ours that it runs, None for images that are not ours."""
        found = [word for word in self.command if re.fullmatch(r"harden\.\w+\.main", word)]
        return found[0] if found else None

    @property
    def package(self) -> str | None:
        """The package whose settings it reads. Triton's image says itself what it runs."""
        if "harden/triton" in self.image:
            return "harden.triton"
        return self.module.removesuffix(".main") if self.module else None


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def deploy_files() -> list[Path]:
    """Everything a person may copy a setting, a topic or a metric from."""
    return sorted(path for path in [*DEPLOY.rglob("*"), RUNBOOK] if path.is_file())


def config_class(package: str) -> type[ServiceConfig]:
    """The settings of the service in `package`."""
    config = importlib.import_module(package + ".config")
    found = [
        value
        for _, value in inspect.getmembers(config, inspect.isclass)
        if issubclass(value, ServiceConfig) and value.__module__ == config.__name__
    ]
    assert len(found) == 1, f"{config.__name__} has {len(found)} settings trees"
    return found[0]


# --- kustomize


def build(kustomize: Path, directory: Path) -> list[Document]:
    done = subprocess.run([kustomize, "build", directory], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(documents: Iterable[Document], *kinds: str) -> list[Document]:
    return [document for document in documents if document["kind"] in kinds]


def named(documents: Iterable[Document], kind: str, name: str) -> Document:
    found = [d for d in of_kind(documents, kind) if d["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} objects are called {kind} {name}"
    return found[0]


def pod_templates(documents: Iterable[Document]) -> Iterator[tuple[str, Document]]:
    for document in of_kind(documents, "Deployment", "StatefulSet", "Job", "DaemonSet"):
        yield f"{document['kind']} {document['metadata']['name']}", document["spec"]["template"]


def kube_containers(documents: list[Document]) -> list[Container]:
    settings = {d["metadata"]["name"]: d.get("data", {}) for d in of_kind(documents, "ConfigMap")}
    found = []
    for where, template in pod_templates(documents):
        for container in [*template["spec"].get("initContainers", ()), *template["spec"]["containers"]]:
            env: dict[str, str] = {}
            for source in container.get("envFrom", ()):
                env |= settings[source["configMapRef"]["name"]] if "configMapRef" in source else {}
            for variable in container.get("env", ()):
                # What the cluster fills in is a name like any other to the settings.
                env[variable["name"]] = variable.get("value", "pod-name")
            found.append(
                Container(
                    where,
                    container["name"],
                    container["image"],
                    (*container.get("command", ()), *container.get("args", ())),
                    env,
                    {port["name"]: port["containerPort"] for port in container.get("ports", ())},
                    tuple(mount["mountPath"] for mount in container.get("volumeMounts", ())),
                )
            )
    return found


# --- compose


def compose_services() -> dict[str, Document]:
    services = read(COMPOSE)["services"]
    assert isinstance(services, dict)
    return services


def compose_containers() -> list[Container]:
    return [
        Container(
            f"compose {name}",
            name,
            service["image"],
            tuple(map(str, service.get("command", ()))),
            {key: str(value) for key, value in service.get("environment", {}).items()},
            mounts=(*map(_target, service.get("volumes", ())), *service.get("tmpfs", ())),
        )
        for name, service in compose_services().items()
    ]


def _target(volume: str | Document) -> str:
    return volume.split(":")[1] if isinstance(volume, str) else volume["target"]


# --- Prometheus


def scrape_jobs() -> dict[str, tuple[list[str], int]]:
    """Job -> the names it looks up and the port it asks."""
    jobs = {}
    for job in read(MONITORING / "prometheus.yaml")["scrape_configs"]:
        (lookup,) = job["dns_sd_configs"]
        jobs[job["job_name"]] = (lookup["names"], lookup["port"])
    return jobs


def alerts() -> dict[str, Document]:
    rules = [rule for group in read(MONITORING / "alerts.yaml")["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in rules}


def json_list(text: str) -> list[str]:
    value = json.loads(text)
    assert isinstance(value, list)
    return value
