"""Writes protos/gen from protos: Python modules and their type stubs. `--check` writes nothing and fails where they differ.

    python tools/protos/generate.py [--check]

Uses the protoc inside grpcio-tools, so the same requirements file gives the same bytes on every machine.
"""

import filecmp
import shutil
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
PROTOS = ROOT / "protos"
VENDOR = PROTOS / "vendor"
GEN = PROTOS / "gen"
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"
# The rules' own module is generated too, but below our name: an installed wheel adds `harden` and nothing else.
RULES, RULES_MODULE = "buf/validate", "harden.rules"


def generate(into: Path) -> None:
    """Everything under protos, the vendored validate.proto included, as packages below `into`/harden, a namespace package."""
    ours = sorted((PROTOS / "harden").rglob("*.proto"))
    sources = [*ours, *sorted(VENDOR.rglob("*.proto"))]
    names = [str(path.relative_to(PROTOS if path in ours else VENDOR)) for path in sources]
    includes = [f"-I{path}" for path in (PROTOS, VENDOR, WELL_KNOWN)]
    if protoc.main(["protoc", *includes, f"--python_out={into}", f"--pyi_out={into}", *names]) != 0:
        sys.exit("protoc refused the files above; put them right and run this again")
    _move_rules(into)
    namespace = into / "harden"
    for directory in {path.parent for path in into.rglob("*.py*")}:
        for package in (directory, *directory.parents):
            if package == namespace:
                break
            (package / "__init__.py").touch()


def _move_rules(into: Path) -> None:
    home = into / RULES_MODULE.replace(".", "/")
    shutil.move(into / RULES, home)
    shutil.rmtree(into / RULES.split("/")[0])
    imported = f"from {RULES.replace('/', '.')} import"
    for path in into.rglob("*.py*"):
        path.write_text(path.read_text().replace(imported, f"from {RULES_MODULE} import"))


def differences(left: Path, right: Path) -> list[str]:
    """Names of generated files that are missing on one side or differ."""
    names = {str(p.relative_to(base)) for base in (left, right) for p in base.rglob("*.py*") if p.suffix in {".py", ".pyi"}}
    _, unequal, missing = filecmp.cmpfiles(left, right, sorted(names), shallow=False)
    return sorted([*unequal, *missing])


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        if "--check" in sys.argv[1:]:
            stale = differences(Path(scratch), GEN)
            if stale:
                sys.exit(f"protos/gen is not what protos gives: {', '.join(stale)}; run python tools/protos/generate.py")
            return
        shutil.rmtree(GEN, ignore_errors=True)
        shutil.copytree(scratch, GEN)


if __name__ == "__main__":
    main()
