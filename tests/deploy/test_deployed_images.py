"""Images hold what their modules import, from hashed locks, and run as nobody in particular."""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harden.cli.main import run as harden
from tests.deploy import deployed

SOURCES = tuple(deployed.ROOT / root for root in ("shared", "services", "protos/gen"))
IMAGES = deployed.DEPLOY / "images"
REQUIREMENTS = deployed.ROOT / "requirements"
OURS = ("harden",)
# What each image is asked to run: see its CMD, the compose file and the manifests.
MODULES = {
    "service": ("harden.attacker.main", "harden.defender_inference.main", "harden.judge.main", "harden.cli.main"),
    "trainer": ("harden.trainer.main",),
    "triton": ("harden.triton.model",),
}
DOCKERFILES = sorted(IMAGES.glob("*.Dockerfile"))


def test_there_is_one_image_for_each_kind_of_process() -> None:
    assert {path.stem for path in DOCKERFILES} == set(MODULES)


def locked(name: str) -> dict[str, str]:
    """Distribution -> version."""
    text = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8")
    return {normal(n): v for n, v in re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", text, re.MULTILINE)}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(module: str, seen: set[str]) -> Iterator[str]:
    """Top-level names outside of ours that importing `module` imports, through everything of ours it brings along."""
    if module in seen:
        return
    seen.add(module)
    if "." in module:
        yield from imported(module.rpartition(".")[0], seen)
    source = source_of(module)
    if source is None:
        return
    for name in module_level_imports(ast.parse(source.read_text(encoding="utf-8"))):
        top = name.split(".")[0]
        if top in OURS:
            yield from imported(existing(name), seen)
        elif top not in sys.stdlib_module_names:
            yield top


def source_of(module: str) -> Path | None:
    """The file of a module of ours, None for a package without one."""
    for root in SOURCES:
        path = root.joinpath(*module.split("."))
        for file in (path.with_name(path.name + ".py"), path / "__init__.py"):
            if file.is_file():
                return file
    if any(root.joinpath(*module.split(".")).is_dir() for root in SOURCES):
        return None
    raise AssertionError(f"{module} is no module")


def existing(name: str) -> str:
    """`a.b.c` where that is a module, otherwise `a.b`: `c` is then a name in it."""
    try:
        source_of(name)
    except AssertionError:
        return existing(name.rpartition(".")[0])
    return name


def module_level_imports(tree: ast.Module) -> Iterator[str]:
    """Imports that run when the module is imported: none inside a function, none for the type checker alone."""
    open_nodes: list[ast.AST] = list(tree.body)
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            open_nodes += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            open_nodes += ast.iter_child_nodes(node)


@pytest.mark.parametrize(("image", "module"), [(i, m) for i, modules in MODULES.items() for m in modules])
def test_the_lock_of_an_image_has_everything_its_modules_import(image: str, module: str) -> None:
    distributions = importlib.metadata.packages_distributions()
    lock = locked(image)
    missing = {
        name
        for name in imported(module, set())
        # Triton's own module, which only exists inside of it.
        if name != "triton_python_backend_utils" and not any(normal(d) in lock for d in distributions.get(name, ()))
    }
    assert not missing, f"requirements/{image}.txt, and so pyproject.toml, lacks what brings {missing}"


@pytest.mark.parametrize("module", MODULES["service"])
def test_the_services_image_needs_no_torch(module: str) -> None:
    assert not {"torch", "transformers", "safetensors", "torchvision"} & set(imported(module, set()))


@pytest.mark.parametrize("image", MODULES)
def test_images_run_the_versions_that_the_tests_run(image: str) -> None:
    tested = locked("run")
    differing = {n: (v, tested[n]) for n, v in locked(image).items() if n in tested and tested[n] != v}
    assert not differing


def test_locks_are_whole_and_hashed() -> None:
    for name in (*MODULES, "build"):
        text = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8")
        entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
        assert entries
        assert all("--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_hadolint_accepts_the_dockerfile(path: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), "--failure-threshold", "style", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_dockerfile_pins_its_bases_installs_by_hash_and_ends_as_nobody(path: Path) -> None:
    text = re.sub(r"^\s*#.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    bases = re.findall(r"^ARG \w+_IMAGE=(\S+)$", text, re.MULTILINE)
    assert bases
    for base in bases:
        assert re.search(r":\d+\.\d+", base), f"{base} names no version"
    stages = re.findall(r"^FROM (\S+)(?: AS (\w+))?$", text, re.MULTILINE)
    assert len(stages) == 2, "one stage builds, one runs"
    assert all(re.fullmatch(r"\$\{\w+_IMAGE\}", base) for base, _ in stages)
    for install in re.findall(r"pip\b[^\n]* install [^\n]*", text):
        assert "--require-hashes" in install or "--no-index" in install, install
    users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert users
    assert int(users[-1].split(":")[0]) >= 10000
    assert not re.search(r"(?i)(secret|password|token)\s*=", text)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_files_that_a_dockerfile_copies_are_there_and_sent_to_it(path: Path) -> None:
    kept = [line[1:] for line in (deployed.ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    text = path.read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (deployed.ROOT / source).exists(), source
            assert any(source == keep or source.startswith(keep + "/") or Path(source).match(keep) for keep in kept), source


def test_tritons_image_serves_the_slots_of_its_settings_with_options_that_the_demos_triton_takes() -> None:
    text = (IMAGES / "triton.Dockerfile").read_text(encoding="utf-8")
    command = json.loads(re.sub(r"\\\n", "", text).rpartition("\nCMD ")[2])
    shell, begin, options = command[:2], command[2], [word.partition("=")[::2] for word in command[4:]]
    repository = dict(options)["--model-repository"]
    assert shell == ["/bin/sh", "-c"]
    assert f"harden.triton.repository {repository} &&" in begin
    # Loads what the repository holds, and nothing else decides that but HARDEN_TRITON__SLOTS.
    assert [value for name, value in options if name == "--load-model"] == ["*"]
    started = (deployed.ROOT / "services" / "harden" / "local" / "triton.py").read_text(encoding="utf-8")
    assert {name for name, _ in options} <= set(re.findall(r"--[a-z]+(?:-[a-z]+)*", started))


def images_used() -> set[str]:
    manifests = [d for f in (deployed.DEPLOY / "base").glob("*.yaml") for d in yaml.safe_load_all(f.read_text()) if d]
    used = {c["image"] for _, t in deployed.pod_templates(d for d in manifests if "kind" in d) for c in t["spec"]["containers"]}
    return used | {c.image for c in deployed.compose_containers()}


def test_images_of_ours_that_are_run_are_images_that_are_built() -> None:
    ours = {re.sub(r":.*", "", image) for image in images_used() if image.startswith("harden/")}
    assert ours == {f"harden/{path.stem}" for path in DOCKERFILES}


def test_every_module_that_a_container_runs_is_there_and_starts_something() -> None:
    containers = [c for c in deployed.compose_containers() if c.module]
    assert len(containers) >= len(deployed.SERVICES)
    for container in containers:
        assert container.module
        source = source_of(container.module)
        assert source, container.module
        assert 'if __name__ == "__main__":' in source.read_text(encoding="utf-8"), container.module


def test_every_command_of_harden_that_a_container_runs_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    used = [c.command for c in deployed.compose_containers() if c.module == "harden.cli.main"]
    assert used
    for _, *words in used:
        assert harden([*words, "--help"]) == 0, capsys.readouterr().err
        assert f"harden {' '.join(words[:2])}" in capsys.readouterr().out


@pytest.mark.parametrize("module", sorted({module for modules in MODULES.values() for module in modules}))
def test_the_wheel_has_every_module_of_ours_that_is_imported(wheel: Path, module: str) -> None:
    needed: set[str] = set()
    list(imported(module, needed))
    with zipfile.ZipFile(wheel) as archive:
        files = set(archive.namelist())
    for name in needed:
        path = name.replace(".", "/")
        assert f"{path}.py" in files or any(file.startswith(f"{path}/") for file in files), name


def test_the_wheel_has_what_the_code_reads_beside_itself(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = set(archive.namelist())
    beside = [
        path.relative_to(deployed.ROOT / folder).as_posix()
        for folder in ("shared", "services")
        for path in (deployed.ROOT / folder).rglob("*")
        if path.suffix in {".safetensors", ".json", ".jinja", ".template", ".j2", ".ttf", ".xml", ".properties"}
        and path.is_file()
    ]
    assert beside
    assert set(beside) <= files
