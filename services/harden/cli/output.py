"""How commands answer: rows a person reads, or JSON a script reads. Diagnostics go to stderr, answers to stdout."""

import datetime
import json
import sys
from collections.abc import Sequence
from typing import Any

MAX_COLUMN = 60


def note(line: str) -> None:
    """A message for a person, on stderr."""
    print(line, file=sys.stderr, flush=True)


def as_json(value: Any) -> None:
    print(json.dumps(value, indent=1))


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as their content; numbers to the right."""
    texts = [[_text(value) for value in row] for row in rows]
    widths = [max(len(header), *(len(row[i]) for row in texts), 0) for i, header in enumerate(headers)]
    right = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(headers))]
    for line in [list(headers), *texts]:
        cells = [text.rjust(w) if is_right else text.ljust(w) for text, w, is_right in zip(line, widths, right, strict=True)]
        print("  ".join(cells).rstrip())


def when(unix_seconds: float) -> str:
    return datetime.datetime.fromtimestamp(unix_seconds).astimezone().isoformat(sep=" ", timespec="seconds")


def printable(text: str) -> str:
    """Untrusted text, with control characters made visible."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def _text(value: object) -> str:
    text = printable("" if value is None else str(value)).replace("\n", " ")
    return text if len(text) <= MAX_COLUMN else text[: MAX_COLUMN - 1] + "…"
