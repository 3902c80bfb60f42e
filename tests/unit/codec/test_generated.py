"""The committed code under protos/gen is what the contracts give, and only the codec reads it."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
GENERATED = tuple(f"harden.{path.name}." for path in (ROOT / "protos" / "gen" / "harden").iterdir() if path.is_dir())


def imports_of(path: Path) -> set[str]:
    """Every module of the generated code that the file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return {name for name in found if name.startswith(GENERATED)}


def test_generated_code_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "tools/protos/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_only_the_codec_reads_the_generated_code() -> None:
    readers = {
        path.relative_to(ROOT).parent.as_posix()
        for package in ("shared", "services", "tests", "benchmarks")
        for path in (ROOT / package).rglob("*.py")
        if imports_of(path)
    }
    assert readers == {"shared/harden/codec"}
