"""Answers that people labelled, read from where they are installed. None of their text is in this repository.

pyrit   the package (MIT): `datasets/scorer_evals/refusal_scorer` says whether an answer refuses its objective, strictly:
        an answer to another question refuses too. `.../objective` says whether an answer achieves its objective; one
        that does not need not be a refusal, so this set is looked at beside the other and no goal is set on it.
xstest  a directory with XSTest's `*completions*.csv`, whose people know all three classes (arXiv 2308.01263)
"""

import csv
import hashlib
import importlib.util
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, distributions
from pathlib import Path

from harden.domain.errors import SetupError
from harden.domain.verdict import Refusal

PYRIT = "pyrit"
PYRIT_VERSION = "1.1.0"
TUNE, TEST = "tune", "test"
REFUSAL_SET, OBJECTIVE_SET, XSTEST_SET = "refusal", "objective", "xstest"
_EVALS = Path("datasets/scorer_evals")
_REFUSAL_FILES = ("refusal_scorer/refusal.csv", "refusal_scorer/refusal_extra.csv")
_XSTEST_LABELS = {
    "1_full_compliance": Refusal.NONE,
    "2_full_refusal": Refusal.FULL,
    "3_partial_refusal": Refusal.PARTIAL,
}
_HOW_TO_GET = f"install it beside: pip install --no-deps --target DIR {PYRIT}=={PYRIT_VERSION}, then give --rows DIR"


@dataclass(frozen=True, slots=True)
class LabelledAnswer:
    of: str  # the set: people were asked the same question for all of its rows
    file: str
    request: str
    answer: str
    label: Refusal  # what people said; a set may not tell full from partial, and then has no partial
    split: str = ""


@dataclass(frozen=True, slots=True)
class LabelledAnswers:
    """`source`: package and version, or where it lies. `licence` as the source states it."""

    source: str
    licence: str
    rows: tuple[LabelledAnswer, ...]


def find(rows: Path | None) -> LabelledAnswers:
    """Of the directory, or of the pyrit in this environment. SetupError where there are none, which says how to get some."""
    if rows is not None and not rows.is_dir():
        raise SetupError(f"--rows {rows} is no directory; {_HOW_TO_GET}")
    if rows is not None and (completions := sorted(rows.glob("*completions*.csv"))):
        return LabelledAnswers(f"XSTest completions in {rows.name}", "as XSTest states it", split(_xstest(completions)))
    root = rows / PYRIT if rows is not None else _installed()
    if root is None or not (root / _EVALS / _REFUSAL_FILES[0]).is_file():
        where = f"{rows} holds neither {PYRIT} nor completions of XSTest" if rows else f"{PYRIT} is not installed here"
        raise SetupError(f"{where}; {_HOW_TO_GET}")
    package = _distribution(root)
    stated = [package.metadata[name] for name in ("License-Expression", "License") if name in package.metadata]
    return LabelledAnswers(f"{PYRIT} {package.version}", next(iter(stated), "unknown"), split(_pyrit(root / _EVALS)))


def split(rows: Iterable[LabelledAnswer]) -> tuple[LabelledAnswer, ...]:
    """Half of the answers to tune on, half to test on, of every file and label alike, and the same ones every time.

    The split is by the hash of the answer's words, so equal answers are in the same half.
    """
    of_key: dict[str, list[LabelledAnswer]] = defaultdict(list)
    for row in rows:
        words = " ".join(re.findall(r"\w+", row.answer.casefold()))
        of_key[hashlib.sha256(words.encode()).hexdigest()].append(row)
    strata: dict[tuple[tuple[str, bool], ...], list[str]] = defaultdict(list)
    for key in sorted(of_key):
        strata[tuple(sorted({(row.file, row.label is not Refusal.NONE) for row in of_key[key]}))].append(key)
    keys = [key for stratum in sorted(strata) for key in strata[stratum]]
    return tuple(replace(row, split=(TUNE, TEST)[i % 2]) for i, key in enumerate(keys) for row in of_key[key])


def _installed() -> Path | None:
    """Where the package lies. It is not imported: that takes half a minute and most of its dependencies are not here."""
    spec = importlib.util.find_spec(PYRIT)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _distribution(root: Path) -> Distribution:
    found = next(iter(distributions(name=PYRIT, path=[str(root.parent)])), None)
    if found is None:
        raise SetupError(f"{root} has no metadata beside it, so that its version and licence are unknown; {_HOW_TO_GET}")
    return found


def _pyrit(evals: Path) -> Iterator[LabelledAnswer]:
    for name in _REFUSAL_FILES:
        for row in _table(evals / name):
            label = Refusal.FULL if row["human_score"] == "1" else Refusal.NONE
            yield LabelledAnswer(REFUSAL_SET, name, row["objective"], row["assistant_response"], label)
    for path in sorted((evals / "objective").glob("*.csv")):
        for row in _table(path):
            label = Refusal.NONE if row["human_score"] == "1" else Refusal.FULL
            yield LabelledAnswer(OBJECTIVE_SET, f"objective/{path.name}", row["objective"], row["assistant_response"], label)


def _xstest(paths: Sequence[Path]) -> Iterator[LabelledAnswer]:
    for path in paths:
        for row in _table(path):
            if label := _XSTEST_LABELS.get(row["final_label"]):
                yield LabelledAnswer(XSTEST_SET, path.name, row["prompt"], row["completion"], label)


def _table(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a file whose first lines may be comments. A comment sign further down is part of an answer."""
    with path.open(encoding="utf-8", newline="") as file:
        begin = 0
        while file.readline().startswith("#"):
            begin = file.tell()
        file.seek(begin)
        yield from csv.DictReader(file)
