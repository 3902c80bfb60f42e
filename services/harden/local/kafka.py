"""One Apache Kafka node on this machine, from Maven Central's jars: for the demo and for the tests.

    with LocalKafka(work_dir) as kafka:
        bus = KafkaBus(KafkaSettings(bootstrap_servers=kafka.bootstrap_servers))

Needs Java 17 or newer and, the first time, Maven. The jars go to `.cache/kafka` in a checkout and to `~/.cache/harden/kafka`
elsewhere, data and log to the work directory. The node ends with its context, and also when this process dies.
"""

import base64
import hashlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from string import Template
from types import TracebackType

from harden.domain.errors import SetupError
from harden.local.children import Child, Command, stop_all

HERE = Path(__file__).resolve()
# What the node is started with: its jars by name, its settings, its logging.
FILES = HERE.with_name("kafka_node")


def cache_directory() -> Path:
    """Where the jars are kept: a checkout keeps its own, an installed wheel the user's."""
    checkout = HERE.parents[3]
    home = checkout / ".cache" if (checkout / "pyproject.toml").is_file() else Path.home() / ".cache" / "harden"
    return home / "kafka"


CACHE = cache_directory()
OLDEST_JAVA = 17

FETCH_TIMEOUT_S = 300
FORMAT_TIMEOUT_S = 60
START_TIMEOUT_S = 60
# A node writes its logs to disk before it ends; longer means that it hangs.
STOP_TIMEOUT_S = 10
_POLL_S = 0.05
# The second compiler pays off after minutes of full load; on two cores that others need, it halves the start to leave it out.
_JVM = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
_WITHOUT = "`harden demo --in-process` needs neither Java nor Maven"


class LocalKafka:
    """A running node. `port` 0 takes a free one; a work directory that was used before keeps its topics."""

    def __init__(self, work_dir: Path, *, port: int = 0) -> None:
        self._work_dir = work_dir
        self._port = port or _free_port()
        self._child: Child | None = None
        self._jars: Path | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def has_ended(self) -> bool:
        """Whether the node was started and has ended by itself."""
        return self._child is not None and self._child.poll() is not None

    @property
    def version(self) -> str:
        """The broker's, from its jar."""
        return version_in(self._jars or fetch())

    def __enter__(self) -> "LocalKafka":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when the node answers. SetupError where a program is missing or the node does not come up."""
        java = find_java()
        self._jars = fetch()
        self._work_dir.mkdir(parents=True, exist_ok=True)
        properties = self._write_properties()
        program = [java, *_JVM, f"-Dlog4j2.configurationFile={FILES / 'log4j2.properties'}", "-cp", f"{self._jars}/*"]
        self._format(program, properties)
        log = self._work_dir / "kafka.log"
        self._child = Child(Command("kafka", [*program, "kafka.Kafka", str(properties)], log))
        try:
            self._await_answer(self._child)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self._child is not None:
            stop_all([self._child], STOP_TIMEOUT_S)
            self._child = None

    def kill(self) -> None:
        """Kills it without a shutdown, as a crash would. `start` brings it back with what it had written."""
        if self._child is not None:
            stop_all([self._child], 0)
            self._child = None

    def _write_properties(self) -> Path:
        template = Template((FILES / "server.properties.template").read_text())
        properties = self._work_dir / "server.properties"
        filled = template.substitute(
            port=self._port, controller_port=_free_port(), log_dir=(self._work_dir / "data").resolve().as_posix()
        )
        properties.write_text(filled)
        return properties

    def _format(self, program: list[str], properties: Path) -> None:
        if (self._work_dir / "data" / "meta.properties").exists():
            return
        command = [*program, "kafka.tools.StorageTool", "format", "-t", new_cluster_id(), "-c", str(properties)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=FORMAT_TIMEOUT_S, check=False)
        if done.returncode != 0:
            raise SetupError(f"Kafka could not prepare {self._work_dir}: {_last_line(done.stdout + done.stderr)}")

    def _await_answer(self, child: Child) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers("127.0.0.1", self._port):
            if child.poll() is not None:
                raise SetupError(f"Kafka ended while it started; the end of {child.command.log}: {child.log_end()}")
            if time.monotonic() > deadline:
                raise SetupError(f"Kafka did not answer within {START_TIMEOUT_S} s; its log is {child.command.log}")
            time.sleep(_POLL_S)


def find_java() -> str:
    """Path of a Java that Kafka runs on."""
    java = shutil.which("java")
    if java is None:
        raise SetupError(
            "Java is missing, and Kafka needs it. Install Java 17 or newer (Debian: apt install openjdk-17-jre-headless; "
            f"macOS: brew install openjdk), or do without: {_WITHOUT}"
        )
    text = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    if found is not None and int(found[1]) < OLDEST_JAVA:
        raise SetupError(f"Java {found[1]} is too old for Kafka, which needs {OLDEST_JAVA} or newer; or do without: {_WITHOUT}")
    return java


def fetch(cache: Path = CACHE) -> Path:
    """Directory of Kafka's jars, fetched once per content of the pom."""
    pom = FILES / "pom.xml"
    jars = cache / hashlib.sha256(pom.read_bytes()).hexdigest()[:16]
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise SetupError(
            "Maven is missing, and Kafka's jars are fetched with it, once. Install it (Debian: apt install maven; "
            f"macOS: brew install maven), or do without: {_WITHOUT}"
        )
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetching-") as scratch:
        # Renamed when complete, so that an interrupted fetch, or two at once, leave no partial file.
        part = Path(scratch) / "jars"
        command = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        done = subprocess.run(
            [*command, f"-DoutputDirectory={part}"], capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False
        )
        if done.returncode != 0 or not part.is_dir():
            raise SetupError(
                f"Maven could not fetch Kafka's jars: {_last_line(done.stdout + done.stderr, '[ERROR]')}. "
                f"Is Maven Central, or the mirror in ~/.m2/settings.xml, reachable? Without: {_WITHOUT}"
            )
        if not jars.is_dir():
            part.rename(jars)
    return jars


def new_cluster_id() -> str:
    """As Kafka writes one: sixteen random bytes in 22 characters. The first is no dash, which would make it an option."""
    while (cluster_id := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return cluster_id


def version_in(jars: Path) -> str:
    (server,) = jars.glob("kafka_2.13-*.jar")
    return server.stem.removeprefix("kafka_2.13-")


def answers(host: str, port: int) -> bool:
    """Whether a broker there answers a request: an ApiVersions of version 0, the oldest there is."""
    request = bytes.fromhex("0012 0000 00000001 0006".replace(" ", "")) + b"harden"
    try:
        with socket.create_connection((host, port), timeout=1.0) as connection:
            connection.settimeout(5.0)
            connection.sendall(len(request).to_bytes(4, "big") + request)
            return len(connection.recv(8)) > 0
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _last_line(text: str, marker: str = "") -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and marker in line]
    return lines[0] if marker and lines else (lines[-1] if lines else "no output")
