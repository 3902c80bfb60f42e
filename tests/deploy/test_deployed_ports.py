"""Every port that something connects to is one that something listens on."""

import re
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry

from harden.config import AdminSettings
from harden.runtime.admin import AdminPort
from tests.deploy import deployed
from tests.deploy.deployed import Document

TRITON_HTTP, TRITON_GRPC, TRITON_METRICS = 8000, 8001, 8002
TREES = pytest.mark.parametrize("tree", ["base", "example"])


def admin_status(path: str) -> int:
    """What a real admin port answers to a GET of `path`."""
    admin = AdminPort(AdminSettings(), CollectorRegistry(), lambda: None)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin.port}{path}", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    finally:
        admin.close()


@pytest.mark.parametrize("path", [*deployed.ADMIN_PATHS.values(), "/metrics"])
def test_the_admin_port_has_the_path_that_probes_and_prometheus_ask(path: str) -> None:
    assert admin_status(path) == 200


def test_the_admin_port_does_not_answer_just_anything() -> None:
    assert admin_status("/nothing-here") == 404


def test_prometheus_scrapes_every_service_of_compose_where_it_listens() -> None:
    containers = {c.name: c for c in deployed.compose_containers()}
    jobs = deployed.scrape_jobs()
    assert set(jobs) == {*deployed.SERVICES, "triton"}
    for job, (names, port) in jobs.items():
        assert names == [job]
        assert job in containers
        if job == "triton":
            assert port == TRITON_METRICS
        else:
            assert port == int(containers[job].settings["HARDEN_ADMIN__PORT"])


def test_compose_health_checks_ask_the_port_and_path_of_the_container() -> None:
    for name, service in deployed.compose_services().items():
        if name in deployed.SERVICES:
            test = " ".join(service["healthcheck"]["test"])
            (url,) = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", test)
            assert url == (str(service["environment"]["HARDEN_ADMIN__PORT"]), deployed.ADMIN_PATHS["ready"])


def test_compose_names_and_ports_that_settings_point_to_are_there() -> None:
    services = deployed.compose_services()
    for container in deployed.compose_containers():
        for name, value in container.settings.items():
            if re.fullmatch(r"[\w.-]+:\d+", value):
                host, _, port = value.partition(":")
                assert host in services, f"{container.where}: {name} names {host}, which is no service"
                listens = TRITON_GRPC if host == "triton" else 9092
                assert int(port) == listens, f"{container.where}: {name}"
    listeners = services["kafka"]["environment"]["KAFKA_LISTENERS"]
    assert "PLAINTEXT://:9092" in listeners


@pytest.mark.slow
@TREES
def test_pods_listen_where_their_services_probes_and_prometheus_ask(tree: str, request: pytest.FixtureRequest) -> None:
    documents: list[Document] = request.getfixturevalue(tree)
    for where, template in deployed.pod_templates(documents):
        for container in template["spec"]["containers"]:
            ports = {port["name"] for port in container.get("ports", ())}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if probe in container:
                    assert container[probe]["httpGet"]["port"] in ports, f"{where}: {probe}"
    containers = {c.name: c for c in deployed.kube_containers(documents)}
    for job, (names, port) in deployed.scrape_jobs().items():
        (name,) = names
        service = deployed.named(documents, "Service", name)
        assert service["spec"]["clusterIP"] == "None", "only a headless Service has an address for each replica"
        targets = [p["targetPort"] for p in service["spec"]["ports"] if p["port"] == port]
        assert [containers[job].ports[target] for target in targets] == [port]
        if job != "triton":
            assert int(containers[job].settings["HARDEN_ADMIN__PORT"]) == port
            assert containers[job].settings["HARDEN_ADMIN__HOST"] == "0.0.0.0"


@pytest.mark.slow
@TREES
def test_admin_probes_ask_paths_that_exist(tree: str, request: pytest.FixtureRequest) -> None:
    for where, template in deployed.pod_templates(request.getfixturevalue(tree)):
        for container in template["spec"]["containers"]:
            if container["name"] not in deployed.SERVICES:
                continue
            assert container["livenessProbe"]["httpGet"]["path"] == deployed.ADMIN_PATHS["live"], where
            assert container["readinessProbe"]["httpGet"]["path"] == deployed.ADMIN_PATHS["ready"], where


@pytest.mark.slow
@TREES
def test_triton_addresses_in_settings_are_its_services_grpc_port(tree: str, request: pytest.FixtureRequest) -> None:
    documents: list[Document] = request.getfixturevalue(tree)
    services = {d["metadata"]["name"]: d for d in deployed.of_kind(documents, "Service")}
    asked = 0
    for container in deployed.kube_containers(documents):
        for name, value in container.settings.items():
            if name.endswith("TRITON_URL"):
                host, _, port = value.partition(":")
                targets = [p["targetPort"] for p in services[host]["spec"]["ports"] if p["port"] == int(port)]
                assert targets == ["grpc"], f"{container.where}: {name}"
                asked += 1
    assert asked == 2
    (triton,) = [c for c in deployed.kube_containers(documents) if c.name == "triton"]
    assert triton.ports == {"http": TRITON_HTTP, "grpc": TRITON_GRPC, "metrics": TRITON_METRICS}
