"""A real S3 server for tests: s3proxy on a free port, its buckets directories below a temporary one."""

import hashlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harden.local.children import Child, Command, stop_all

POM = Path(__file__).parent / "pom.xml"
CACHE = Path(__file__).resolve().parents[3] / ".cache" / "s3proxy"
FETCH_TIMEOUT_S = 300
START_TIMEOUT_S = 60
POLL_S = 0.05
ACCESS_KEY, SECRET_KEY = "test-access-key", "test-secret-key"


@dataclass(frozen=True)
class S3Server:
    port: int
    buckets: Path
    child: Child

    def make_bucket(self, name: str) -> str:
        """The uri of a new bucket."""
        (self.buckets / name).mkdir()
        return f"s3://{name}"

    def options(self, **changes: Any) -> dict[str, Any]:
        return {
            "endpoint": f"http://127.0.0.1:{self.port}",
            "region": "us-east-1",
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
            **changes,
        }


@contextmanager
def s3_server(work_dir: Path) -> Iterator[S3Server]:
    jars = fetch()
    buckets = work_dir / "buckets"
    buckets.mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "s3proxy.endpoint": f"http://127.0.0.1:{port}",
        "s3proxy.authorization": "aws-v2-or-v4",
        "s3proxy.identity": ACCESS_KEY,
        "s3proxy.credential": SECRET_KEY,
        "jclouds.provider": "filesystem-nio2",
        "jclouds.identity": "unused",
        "jclouds.credential": "unused",
        "jclouds.filesystem.basedir": str(buckets),
    }
    properties = work_dir / "s3proxy.properties"
    properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    java = shutil.which("java")
    assert java is not None, "java is missing; the tests' S3 server needs it (Debian: apt install openjdk-17-jre-headless)"
    argv = [java, "-Xmx256m", "-cp", f"{jars}/*", "org.gaul.s3proxy.Main", "--properties", str(properties)]
    child = Child(Command("s3proxy", argv, work_dir / "s3proxy.log"))
    try:
        _await_answer(child, port)
        yield S3Server(port, buckets, child)
    finally:
        stop_all([child], grace_s=5.0)


def fetch() -> Path:
    """Directory of the server's jars, fetched once per content of the pom."""
    jars = CACHE / hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    assert maven is not None, "mvn is missing; it fetches the S3 server of the tests (Debian: apt install maven)"
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="fetching-") as scratch:
        # Renamed when complete: a fetch that is cut off leaves nothing half there.
        part = Path(scratch) / "jars"
        command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        done = subprocess.run(
            [*command, f"-DoutputDirectory={part}"], capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False
        )
        assert done.returncode == 0, f"Maven could not fetch s3proxy: {done.stdout[-2000:]}"
        if not jars.is_dir():
            part.rename(jars)
    return jars


def _await_answer(child: Child, port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert child.poll() is None, f"s3proxy ended while it started: {child.log_end()}"
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1.0):
                return
        except OSError:
            time.sleep(POLL_S)
    raise AssertionError(f"s3proxy did not answer within {START_TIMEOUT_S} s: {child.log_end()}")
