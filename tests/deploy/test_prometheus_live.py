"""A real Prometheus with our alerts reads a real admin port and tells what it sees."""

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from harden import metrics
from harden.config import AdminSettings
from harden.local.ports import free_ports
from harden.runtime.admin import AdminPort
from tests.deploy import deployed
from tests.support.workers import wait_until

pytestmark = pytest.mark.prometheus

TIMEOUT_S = 60.0


@contextmanager
def prometheus(folder: Path, targets: dict[str, int]) -> Iterator[str]:
    """Its address. Our configuration with the targets (job -> port here) in place of the names it would look up."""
    binary = shutil.which("prometheus")
    assert binary, "this test needs Prometheus; install Debian's package prometheus"
    config = deployed.read(deployed.MONITORING / "prometheus.yaml")
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    for job in config["scrape_configs"]:
        del job["dns_sd_configs"]
        ports = [targets[job["job_name"]]] if job["job_name"] in targets else []
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    shutil.copy(deployed.MONITORING / "alerts.yaml", folder)
    (port,) = free_ports(1)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                binary,
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def ask(url: str) -> Any:
    """The answer's data; None while there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["data"]
    except (urllib.error.URLError, ConnectionError):
        return None


def firing(address: str) -> dict[str, dict[str, str]]:
    found = ask(f"{address}/api/v1/alerts") or {"alerts": []}
    return {a["labels"]["alertname"]: a["labels"] for a in found["alerts"] if a["state"] == "firing"}


def test_a_dead_letter_and_a_refused_policy_are_noticed_as_services_count_them(tmp_path: Path) -> None:
    judge, triton = CollectorRegistry(), CollectorRegistry()
    metrics.DEAD_LETTERS.counter(judge).labels("unknown_event").inc()
    metrics.SWAP_REFUSED.counter(triton).labels("defender", "probe_mismatch").inc()
    ports = [AdminPort(AdminSettings(), registry, lambda: None) for registry in (judge, triton)]
    try:
        with prometheus(tmp_path, {"judge": ports[0].port, "triton": ports[1].port}) as address:
            wait_until(lambda: {"DeadLetters", "SwapRefused"} <= set(firing(address)), "both alerts to fire", TIMEOUT_S)
            seen = firing(address)
    finally:
        for port in ports:
            port.close()
    assert (seen["DeadLetters"]["job"], seen["DeadLetters"]["reason"]) == ("judge", "unknown_event")
    assert (seen["SwapRefused"]["slot"], seen["SwapRefused"]["reason"]) == ("defender", "probe_mismatch")
    assert set(seen) == {"DeadLetters", "SwapRefused"}
