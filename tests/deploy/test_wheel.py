"""What somebody gets who installs the wheel: one name, the libraries it asks for, and a `harden` that works anywhere."""

import json
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.deploy import deployed
from tests.deploy.test_deployed_images import MODULES
from tests.support.environments import an_environment, find_uv
from tests.support.loop import EXPERIMENT

PROJECT = tomllib.loads((deployed.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """From elsewhere, so that only what is installed can be found."""
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


def test_the_wheel_adds_one_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        top = {name.split("/")[0] for name in archive.namelist()}
    assert top == {"harden", f"harden-{PROJECT['version']}.dist-info"}


def test_every_extra_brings_something() -> None:
    assert all(PROJECT["optional-dependencies"].values())


@pytest.mark.slow
def test_without_an_extra_it_reads_and_says_which_extra_plays(wheel: Path, tmp_path: Path) -> None:
    """The services' image is this, less the image."""
    programs = an_environment(tmp_path / "env", "service", wheel)
    checked = run(find_uv(), "pip", "check", "--python", programs / "python", cwd=tmp_path)
    assert checked.returncode == 0, f"requirements/service.txt lacks what pyproject.toml asks for: {checked.stderr}"
    imports = "; ".join(f"import {module}" for module in MODULES["service"])
    assert run(programs / "python", "-c", imports, cwd=tmp_path).returncode == 0
    for command in (["--help"], ["--version"], ["world", "list"], ["policy", "keys", "keys"]):
        done = run(programs / "harden", *command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    refused = run(programs / "harden", "demo", "--in-process", cwd=tmp_path)
    assert refused.returncode == 2
    assert "harden[trainer]" in refused.stderr


@pytest.mark.slow
def test_with_the_trainers_extra_it_plays_in_one_process(wheel: Path, tmp_path: Path) -> None:
    programs = an_environment(tmp_path / "env", "trainer", wheel)
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(EXPERIMENT), encoding="utf-8")
    played = run(programs / "harden", "run", "short.yaml", "--in-process", cwd=tmp_path)
    assert played.returncode == 0, played.stdout + played.stderr
    report = json.loads((tmp_path / "runs" / "loop" / "report.json").read_text(encoding="utf-8"))
    assert report["ok"]
    assert (tmp_path / "runs" / "loop" / "report.html").is_file()
    shipped = run(programs / "harden", "demo", "--in-process", "--rounds", "0", cwd=tmp_path)
    assert shipped.returncode == 2
    assert "schedule.rounds" in shipped.stderr, "the demo's experiment was not found in the wheel"
    without_triton = run(programs / "harden", "demo", cwd=tmp_path)
    assert without_triton.returncode == 2
    assert "harden[demo]" in without_triton.stderr or "Java" in without_triton.stderr
