"""One Triton on this machine, from the `nvidia-pytriton` wheel: for the demo and for the tests.

    with LocalTriton(work_dir, slots, environment) as triton:
        policies = TritonPolicies(triton.grpc_url)

The wheel carries the real server and its Python backend; only the server is used of it. It ends with its context, and
also when this process dies.
"""

import importlib.util
import os
import re
import shutil
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import harden
from harden.domain.errors import SetupError
from harden.local.children import Child, Command, log_end, stop_all
from harden.local.ports import free_ports
from harden.serving.triton_client import TritonPolicies
from harden.triton.repository import write_repository

# Every slot imports its libraries at the same time; from a cold disk that takes a while.
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 15.0
EXIT_TIMEOUT_S = 5
# Stable over restarts: the topic `served` has one entry per replica.
REPLICA = "local"
# Names begin with this, the pid of the server's owner and its port.
SHARED_MEMORY = "harden-"
_POLL_S = 0.05
_ANSWER_TIMEOUT_S = 5.0


class LocalTriton:
    """A running server. `environment`: the HARDEN_ settings of bus, store and keys that its models read."""

    def __init__(
        self, work_dir: Path, slots: Sequence[str], environment: Mapping[str, str], *, log: Path | None = None
    ) -> None:
        self._work_dir = work_dir.absolute()
        self._slots = tuple(slots)
        self._environment = dict(environment)
        self._log = log or self._work_dir / "triton.log"
        self._http_port, self._grpc_port, self._metrics_port = free_ports(3)
        self._child: Child | None = None

    @property
    def grpc_url(self) -> str:
        return f"127.0.0.1:{self._grpc_port}"

    @property
    def http_url(self) -> str:
        return f"127.0.0.1:{self._http_port}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self._metrics_port}/metrics"

    @property
    def version(self) -> str:
        """The server's own. TransientError where it does not answer."""
        policies = TritonPolicies(self.grpc_url, timeout_s=_ANSWER_TIMEOUT_S)
        try:
            return policies.server_version()
        finally:
            policies.close()

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def metrics(self) -> str:
        """What Prometheus would read."""
        with urllib.request.urlopen(self.metrics_url, timeout=_ANSWER_TIMEOUT_S) as answer:
            text: str = answer.read().decode()
            return text

    def __enter__(self) -> "LocalTriton":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when every slot's model is loaded; none has a policy then. SetupError where one does not load."""
        self.begin()
        try:
            self.await_ready()
        except BaseException:
            self.stop()
            raise

    def begin(self) -> None:
        """Starts the server and does not wait, so that others can start meanwhile. `await_ready` does."""
        server = find_server()
        _sweep_shared_memory()
        repository = self._work_dir / "repository"
        for old in (repository, self._work_dir / "policies"):
            shutil.rmtree(old, ignore_errors=True)
        write_repository(repository, self._slots)
        backends = _backends(server, self._work_dir / "backends")
        argv = [
            str(server / "bin" / "tritonserver"),
            f"--model-repository={repository}",
            f"--backend-directory={backends}",
            "--model-control-mode=explicit",
            # The configurations are complete; completing them would import every model twice.
            "--disable-auto-complete-config",
            *(f"--load-model={slot}" for slot in self._slots),
            "--http-address=127.0.0.1",
            f"--http-port={self._http_port}",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={self._grpc_port}",
            "--metrics-address=127.0.0.1",
            f"--metrics-port={self._metrics_port}",
            "--allow-gpu-metrics=false",
            f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
            f"--backend-config=python,shm-region-prefix-name={SHARED_MEMORY}{os.getpid()}-{self._grpc_port}-",
        ]
        self._child = Child(Command("triton", argv, self._log, self._settings(server)))

    def await_ready(self) -> None:
        assert self._child is not None, "begin comes first"
        policies = TritonPolicies(self.grpc_url, timeout_s=_ANSWER_TIMEOUT_S)
        deadline = time.monotonic() + START_TIMEOUT_S
        try:
            while not policies.is_ready():
                if self._child.poll() is not None:
                    raise SetupError(f"Triton ended while it started: {_why(self._log)}; its log is {self._log}")
                if time.monotonic() > deadline:
                    raise SetupError(f"Triton was not ready within {START_TIMEOUT_S:.0f} s; its log is {self._log}")
                time.sleep(_POLL_S)
        finally:
            policies.close()

    def stop(self) -> None:
        if self._child is not None:
            stop_all([self._child], STOP_TIMEOUT_S)
            self._child = None
            _sweep_shared_memory(of=self._grpc_port)

    def kill(self) -> None:
        """Kills it without a shutdown. `start` brings it back on the same ports; its models restore their policies."""
        if self._child is not None:
            stop_all([self._child], 0)
            self._child = None
            _sweep_shared_memory(of=self._grpc_port)

    def _settings(self, server: Path) -> dict[str, str]:
        libraries = [*_wheel_libraries(server), str(sysconfig.get_config_var("LIBDIR"))]
        return {
            "HARDEN_TRITON__REPLICA": REPLICA,
            "HARDEN_TRITON__WORK_DIR": str(self._work_dir / "policies"),
            "HARDEN_LOG__FORMAT": "json",
            **self._environment,
            # The stub runs the `python3` it finds first: this one, with everything the model imports.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "LD_LIBRARY_PATH": os.pathsep.join([*libraries, os.environ.get("LD_LIBRARY_PATH", "")]),
            "PYTHONPATH": os.pathsep.join([*_our_roots(), *_site_packages()]),
            "PYTHONUNBUFFERED": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }


def _why(log: Path) -> str:
    """The server's own reason, without the stack trace. The last match counts: earlier starts wrote to this log too."""
    pattern = r"failed to load '(\w+)' version \d+: (?:Internal: )?(?:TritonModelException: )?(.*?)(?:\\n|\"$|$)"
    said = re.findall(pattern, log.read_text(errors="replace"), re.M)
    if said:
        slot, reason = said[-1]
        return f"slot {slot}: {reason}"
    return " ".join(log_end(log, 3).split())


def _sweep_shared_memory(of: int | None = None) -> None:
    """Removes shared memory that a killed server left: of this process's server on port `of`, and of owners that are dead."""
    for path in Path("/dev/shm").glob(f"{SHARED_MEMORY}*"):
        owner, port = path.name.removeprefix(SHARED_MEMORY).split("-")[:2]
        if int(port) == of if int(owner) == os.getpid() else not Path(f"/proc/{owner}").exists():
            path.unlink(missing_ok=True)


def find_server() -> Path:
    """The wheel's `tritonserver` directory."""
    found = importlib.util.find_spec("pytriton")
    server = Path(found.origin).parent / "tritonserver" if found and found.origin else None
    if server is None or not (server / "bin" / "tritonserver").is_file():
        raise SetupError(
            "Triton is missing: the package nvidia-pytriton is not installed (`make install` does it in a checkout, "
            "`pip install 'harden[demo]'` elsewhere; Linux on x86-64 or ARM64 only). `harden demo --in-process` does without"
        )
    return server


def _backends(server: Path, directory: Path) -> Path:
    """The wheel's Python backend with the stub of this Python beside its library, where Triton looks for it."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.is_file():
        have = ", ".join(sorted(path.name for path in (server / "python_backend_stubs").iterdir()))
        raise SetupError(f"Triton's wheel has no Python backend for Python {version}, only for {have}")
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(server / "backends", directory)
    shutil.copy2(stub, directory / "python" / stub.name)
    return directory


def _wheel_libraries(server: Path) -> list[str]:
    return [str(path) for path in (server.parents[1] / "nvidia_pytriton.libs", server / "external_libs") if path.is_dir()]


def _site_packages() -> list[str]:
    return [path for path in dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))) if path]


def _our_roots() -> list[str]:
    """Where the parts of the namespace package `harden` lie: source roots of a checkout, or one site-packages."""
    return sorted({str(Path(part).parent) for part in harden.__path__})
