"""A server that cannot start says why, and it never outlives the process that started it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harden.config import KafkaSettings
from harden.domain.completion import Sampling
from harden.domain.errors import SetupError
from harden.domain.policy import Slot
from harden.local.triton import SHARED_MEMORY, LocalTriton
from harden.serving.ports import GenerateRequest
from harden.store.signing import generate_keypair
from tests.support.policies import a_probe
from tests.support.tiny_models import an_image_text_model, some_prompts
from tests.support.triton import TritonSite, triton_environment
from tests.support.workers import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.triton]
PARENT = """
import json, sys
from pathlib import Path
from harden.local.triton import SHARED_MEMORY, LocalTriton
from harden.domain.policy import Slot
triton = LocalTriton(Path(sys.argv[1]), [Slot.DEFENDER], json.loads(sys.argv[2]))
triton.begin()
print("begun", flush=True)
sys.stdin.read()
"""


def test_a_setting_that_cannot_be_is_said_in_one_line(tmp_path: Path, kafka_settings: KafkaSettings) -> None:
    environment = triton_environment(kafka_settings.bootstrap_servers, str(tmp_path / "store"), tmp_path / "no-such-key.pem")
    with pytest.raises(SetupError, match=r"Triton ended while it started.*no-such-key\.pem"):
        LocalTriton(tmp_path / "triton", [Slot.DEFENDER], environment).start()


def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path, kafka_settings: KafkaSettings) -> None:
    _, verify_key = generate_keypair(tmp_path / "keys")
    environment = triton_environment(kafka_settings.bootstrap_servers, str(tmp_path / "store"), verify_key)
    command = [sys.executable, "-c", PARENT, str(tmp_path / "triton"), json.dumps(environment)]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "begun\n"

    def of_this_server() -> list[psutil.Process]:
        return [p for p in psutil.process_iter(["cmdline"]) if any(str(tmp_path) in part for part in p.info["cmdline"] or ())]

    wait_until(lambda: any("stub" in p.info["cmdline"][0] for p in of_this_server()), "the model's process to start", 60)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not of_this_server(), "every process to end", 60)
    # Shared memory outlives processes; the next server sweeps up.
    left = list(Path("/dev/shm").glob(f"{SHARED_MEMORY}{parent.pid}-*"))
    with pytest.raises(SetupError):
        LocalTriton(tmp_path / "next", [Slot.DEFENDER], {"HARDEN_TRITON__NUM_THREADS": "0"}).start()
    assert not any(path.exists() for path in left)


def test_a_server_that_was_killed_comes_back_with_the_policy_it_served(
    triton_site: TritonSite, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = an_image_text_model(tmp_path_factory.mktemp("model"), random_seed=4, num_layers=2, hidden=64)
    policy = triton_site.publishing.publish(Slot.DEFENDER, directory, a_probe(directory))
    triton_site.publishing.verdict_on(policy)
    request = GenerateRequest(some_prompts(1)[0], 2, Sampling(4), 0)
    before = triton_site.policies.generate(Slot.DEFENDER, [request])
    triton_site.server.kill()
    triton_site.server.start()
    wait_until(lambda: triton_site.policies.served(Slot.DEFENDER) == policy, "the policy to be served again", 60)
    assert triton_site.policies.generate(Slot.DEFENDER, [request]) == before
