"""Python environments of their own, as a user makes them: for what must work outside the repository."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A lock with torch is fetched once; a warm cache needs seconds.
INSTALL_TIMEOUT_S = 480


def find_uv() -> str:
    """On the PATH, or where tools/setup put it."""
    uv = shutil.which("uv") or shutil.which("uv", path=ROOT / ".cache" / "tools" / "uv" / "bin")
    assert uv, "this test needs uv; `make install` fetches it"
    return uv


def an_environment(directory: Path, lock: str, wheel: Path) -> Path:
    """The directory of the programs of a new environment with the wheel and the libraries of requirements/<lock>.txt."""
    uv, python = find_uv(), directory / "bin" / "python"
    locked = ROOT / "requirements" / f"{lock}.txt"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, directory], check=True, timeout=120)
    install = [uv, "pip", "install", "--quiet", "--python", python]
    subprocess.run([*install, "--require-hashes", "-r", locked], check=True, timeout=INSTALL_TIMEOUT_S)
    subprocess.run([*install, "--no-deps", "--no-index", wheel], check=True, timeout=60)
    return python.parent
