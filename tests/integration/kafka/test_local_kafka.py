"""The node that the demo and the tests start: what it needs, and that it never stays behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harden.domain.errors import SetupError
from harden.local.kafka import LocalKafka, answers, fetch, find_java
from tests.support.workers import wait_until

PARENT = """
import signal, sys, time
# A shell that starts us in the background has SIGINT ignored, and a child inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from harden.local.kafka import LocalKafka
with LocalKafka(Path(sys.argv[1])) as node:
    print(node.bootstrap_servers, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("find", [find_java, lambda: fetch(Path("/nonexistent"))], ids=["java", "maven"])
def test_a_missing_program_is_named_with_both_ways_out(monkeypatch: pytest.MonkeyPatch, find: object) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SetupError, match=r"is missing.*[Ii]nstall.*harden demo --in-process"):
        find()  # type: ignore[operator]


@pytest.mark.kafka
def test_a_node_knows_its_version_and_keeps_its_topics_over_a_restart(tmp_path: Path) -> None:
    from harden.bus.kafka import KafkaBus
    from harden.config import KafkaSettings

    node = LocalKafka(tmp_path)
    with node:
        assert node.version.startswith("4.1.")
        bus = KafkaBus(KafkaSettings(bootstrap_servers=node.bootstrap_servers))
        bus.create_topics()
        bus.close()
    host, port = node.bootstrap_servers.split(":")
    assert not answers(host, int(port))
    with node:
        bus = KafkaBus(KafkaSettings(bootstrap_servers=node.bootstrap_servers))
        bus.check_topics()
        bus.close()


@pytest.mark.kafka
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "SIGINT"])
def test_a_node_ends_with_the_process_that_started_it(tmp_path: Path, number: int) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline()
    (node,) = psutil.Process(parent.pid).children(recursive=True)
    os.kill(parent.pid, number)
    parent.wait(30)
    wait_until(lambda: not node.is_running() or node.status() == psutil.STATUS_ZOMBIE, "the node's end")
