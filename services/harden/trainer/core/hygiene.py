"""Split hygiene: evaluation prompts must not be trained on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True, slots=True)
class Overlap:
    """`item` (normalised) is in both splits."""

    first: str
    second: str
    item: str


def normalised(text: str) -> str:
    """Case and white space do not make a text another one."""
    return " ".join(text.casefold().split())


def overlaps(splits: Mapping[str, Iterable[str]]) -> list[Overlap]:
    """Every text (or template, image, seed id) that two splits share, by split and item."""
    seen: dict[str, list[str]] = {}
    for name, items in splits.items():
        for item in {normalised(item) for item in items}:
            seen.setdefault(item, []).append(name)
    found = [Overlap(first, second, item) for item, names in seen.items() for first, second in combinations(names, 2)]
    return sorted(found, key=lambda o: (o.first, o.second, o.item))
