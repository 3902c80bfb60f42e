"""Real tools: kustomize and kubeconform from their Go modules, built once into .cache/bin; promtool from Debian."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy import deployed

BIN = deployed.ROOT / ".cache" / "bin"
KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.8.0"
KUBECONFORM = "github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0"
BUILD_TIMEOUT_S = 540


def _go_install(name: str, package: str) -> Path:
    # The version is part of the folder's name, so that a newer one is never mistaken for it.
    folder = BIN / package.rpartition("@")[2]
    binary = folder / name
    if not binary.exists():
        go = shutil.which("go")
        assert go, f"these tests need Go to build {name}; install Go 1.24 or newer"
        env = {**os.environ, "GOBIN": str(folder), "GOFLAGS": ""}
        subprocess.run([go, "install", package], check=True, env=env, timeout=BUILD_TIMEOUT_S)
    return binary


@pytest.fixture(scope="session")
def kustomize() -> Path:
    return _go_install("kustomize", KUSTOMIZE)


@pytest.fixture(scope="session")
def kubeconform() -> Path:
    return _go_install("kubeconform", KUBECONFORM)


@pytest.fixture(scope="session")
def promtool() -> Path:
    found = shutil.which("promtool")
    assert found, "these tests need promtool; install Debian's package prometheus"
    return Path(found)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built the way the images build it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, check=True, cwd=deployed.ROOT, timeout=120)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def base(kustomize: Path) -> list[deployed.Document]:
    return deployed.build(kustomize, deployed.DEPLOY / "base")


@pytest.fixture(scope="session")
def example(kustomize: Path) -> list[deployed.Document]:
    return deployed.build(kustomize, deployed.DEPLOY / "overlays" / "example")
