"""The compose file: one that Docker Compose itself reads, of exactly the ring's parts, with nothing as root."""

import subprocess
from pathlib import Path

import compose  # Docker Compose's own binary, in a package
import pytest

from harden.trainer import experiment
from tests.deploy import deployed
from tests.deploy.deployed import Document

BINARY = Path(compose.__file__).parent / "docker-compose"
# Runs as a user of its own image's, and writes beside its programs.
OWN_USER = {"kafka"}
LONG_RUNNING = ("kafka", "triton", *deployed.SERVICES, "prometheus")
ONCE = ("topics", "seeds", "keys")


@pytest.fixture(scope="module")
def services() -> dict[str, Document]:
    return deployed.compose_services()


def config(path: Path) -> subprocess.CompletedProcess[str]:
    # Called itself and not through the package's script, which loses the exit status.
    return subprocess.run([BINARY, "-f", path, "config", "--quiet"], capture_output=True, text=True, check=False)


def test_docker_compose_reads_the_file() -> None:
    done = config(deployed.COMPOSE)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "a warning is a variable or a field nobody set"


def test_docker_compose_refuses_a_service_that_is_not_there(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(deployed.COMPOSE.read_text().replace("triton: {condition", "tritom: {condition"))
    assert "tritom" in config(wrong).stderr


def test_the_parts_are_the_rings(services: dict[str, Document]) -> None:
    assert set(services) == {*LONG_RUNNING, *ONCE}


@pytest.mark.parametrize("name", [*LONG_RUNNING, *ONCE])
def test_nothing_runs_as_root_or_can_become_it(services: dict[str, Document], name: str) -> None:
    service = services[name]
    if name not in OWN_USER:
        assert int(service["user"].split(":")[0]) > 0
        assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_what_keeps_running_says_whether_it_is_well(services: dict[str, Document], name: str) -> None:
    assert services[name]["healthcheck"]["test"][0] == "CMD"
    assert services[name]["restart"] == "on-failure"


def test_waits_are_for_what_is_well_or_done(services: dict[str, Document]) -> None:
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if other in ONCE else "service_healthy"
            assert how["condition"] == expected, f"{name} waits for {other}"


def test_only_prometheus_is_published_and_only_to_this_machine(services: dict[str, Document]) -> None:
    published = {name: service["ports"] for name, service in services.items() if service.get("ports")}
    assert published == {"prometheus": ["127.0.0.1:9090:9090"]}


def test_everyone_finds_the_store_under_the_same_name() -> None:
    """References to blobs begin with the store's URI; one that is named otherwise is refused."""
    uris = {c.name: c.settings["HARDEN_STORE__URI"] for c in deployed.compose_containers() if "HARDEN_STORE__URI" in c.settings}
    assert set(uris) >= {*deployed.SERVICES, "triton"}
    assert len(set(uris.values())) == 1


def test_only_the_trainer_and_the_one_that_makes_it_hold_the_signing_key(services: dict[str, Document]) -> None:
    """Triton mounts the same volume for the public key; another user than the owner cannot read the private one."""
    holders = {
        name for name, service in services.items() if any(str(v).startswith("keys:") for v in service.get("volumes", ()))
    }
    assert holders == {"keys", "trainer", "triton"}
    assert services["trainer"]["user"] == services["keys"]["user"] == "10001:10001"
    assert services["triton"]["user"].split(":") not in (["10001", "10001"], ["10001", "0"])


def test_files_mounted_from_the_repository_are_there(services: dict[str, Document]) -> None:
    mounted = [str(v).split(":")[0] for s in services.values() for v in s.get("volumes", ()) if str(v).startswith(".")]
    assert mounted
    for name in mounted:
        assert (deployed.COMPOSE.parent / name).resolve().is_file(), name


def test_the_experiment_of_compose_is_one_the_trainer_reads(services: dict[str, Document]) -> None:
    (file,) = [str(v).split(":")[0] for v in services["trainer"]["volumes"] if str(v).startswith("../../experiments/")]
    assert experiment.load(deployed.COMPOSE.parent / file).defender.steps > 0


def test_prometheus_of_compose_and_kubernetes_are_one(services: dict[str, Document]) -> None:
    documents = list(deployed.yaml.safe_load_all((deployed.MONITORING / "prometheus-deployment.yaml").read_text()))
    (container,) = deployed.named(documents, "Deployment", "prometheus")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == services["prometheus"]["image"]
    assert container["args"] == services["prometheus"]["command"]
