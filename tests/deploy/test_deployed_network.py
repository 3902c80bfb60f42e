"""Attackers reach nothing but Kafka, Triton and the store; tenants reach nothing at all."""

from itertools import product

import pytest

from harden.topics import CATALOGUE
from tests.deploy import deployed
from tests.deploy.deployed import Document
from tests.deploy.reach import Pod, may_connect

pytestmark = pytest.mark.slow

INSIDE = [Pod(name) for name in (*deployed.SERVICES, "triton", "topics", "prometheus")]
DNS = Pod("kube-dns", "kube-system", {"k8s-app": "kube-dns"})
KAFKA = Pod("kafka", "kafka")
STORE = Pod("minio", "store")
TENANT = Pod("chat", "tenant")
PRETENDER = Pod("attacker", "tenant")
ELSEWHERE = [TENANT, PRETENDER, Pod("anything", "default"), Pod("apiserver", "kube-system")]
PORTS = (53, 80, 443, 8000, 8001, 8002, 8443, 9000, 9090, 9092, 9464)


def reached(documents: list[Document], source: Pod) -> set[tuple[str, int]]:
    everyone = [*INSIDE, DNS, KAFKA, STORE, *ELSEWHERE]
    return {(t.name, port) for t, port in product(everyone, PORTS) if t != source and may_connect(documents, source, t, port)}


@pytest.fixture(params=["base", "example"])
def documents(request: pytest.FixtureRequest) -> list[Document]:
    found: list[Document] = request.getfixturevalue(request.param)
    return found


def test_an_attacker_reaches_only_kafka_triton_and_the_store(documents: list[Document]) -> None:
    assert reached(documents, Pod("attacker")) == {("kube-dns", 53), ("kafka", 9092), ("triton", 8001), ("minio", 9000)}


def test_the_judge_reaches_only_kafka(documents: list[Document]) -> None:
    assert reached(documents, Pod("judge")) == {("kube-dns", 53), ("kafka", 9092)}


def test_the_trainer_reaches_no_service_and_no_triton(documents: list[Document]) -> None:
    assert reached(documents, Pod("trainer")) == {("kube-dns", 53), ("kafka", 9092), ("minio", 9000)}


def test_triton_follows_the_log_and_reads_the_store(documents: list[Document]) -> None:
    assert reached(documents, Pod("triton")) == {("kube-dns", 53), ("kafka", 9092), ("minio", 9000)}


@pytest.mark.parametrize("outsider", ELSEWHERE, ids=lambda pod: f"{pod.namespace}/{pod.name}")
def test_tenants_reach_neither_triton_nor_an_admin_port(documents: list[Document], outsider: Pod) -> None:
    assert not {(t.name, port) for t, port in product(INSIDE, PORTS) if may_connect(documents, outsider, t, port)}


def test_everyone_who_writes_or_reads_a_topic_reaches_kafka(documents: list[Document]) -> None:
    names = {name.replace("_", "-") for topic in CATALOGUE for name in (*topic.written_by, *topic.read_by)}
    for name in names - {"cli"}:  # the operator's command line runs where the operator does
        assert may_connect(documents, Pod(name), KAFKA, 9092), name
    assert may_connect(documents, Pod("topics"), KAFKA, 9092)


def test_prometheus_reaches_what_it_scrapes(example: list[Document]) -> None:
    for job, (_, port) in deployed.scrape_jobs().items():
        assert may_connect(example, Pod("prometheus"), Pod(job), port), job


def test_names_are_looked_up_over_udp_too(documents: list[Document]) -> None:
    for pod in INSIDE:
        assert may_connect(documents, pod, DNS, 53, "UDP"), pod.name
