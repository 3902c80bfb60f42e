"""The arena as a World: what the entry points `arena`, `arena_b` and `arena_c` of `harden.worlds` yield.

Three worlds with one language: other potions, recipes, words, splits and checkpoints. Settings are chosen on `arena` and
reported on the other two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from harden.domain.bout import RecordedAttack
from harden.domain.game import EvaluationCase, Split, Suite, Use
from harden.domain.seed import Seed
from harden.worlds.arena.adapters import ArenaAnchors, ArenaGuard, ArenaImages, ArenaTransforms, domain_seed, family_of
from harden.worlds.arena.lore import lore_of
from harden.worlds.arena.suites import Suite as ArenaSuite

ASSETS = Path(__file__).parent / "assets"
# What reports call the suites.
TITLES = {
    "trained": "attacked subjects, disguises never used",
    "listed_never_attacked": "listed subjects that nobody attacked",
    "unlisted_by_property": "restricted by property, on no list",
    "held_out_template": "phrasings never trained on",
    "held_out_family": "a family of disguises never trained on",
    "held_out_family_and_potion": "that family, subjects nobody attacked",
    "composed": "disguises deeper than any transform",
    "direct": "asked directly",
    "image": "written in an image",
    "image_never_attacked": "in an image, subjects nobody attacked",
    "ordinary": "ordinary requests",
    "ordinary_held_out": "ordinary requests, other subjects",
    "trap": "harmless requests that look harmful",
    "utility": "an unrelated task with exact answers",
}
HEADLINES = (
    "trained",
    "listed_never_attacked",
    "unlisted_by_property",
    "held_out_family",
    "composed",
    "ordinary",
    "ordinary_held_out",
)


class Arena:
    """World: potions, some of them restricted, and requests for them in disguise."""

    categories: Mapping[str, Use] = {
        "harmful": Use.ATTACKED,
        "listed": Use.SHOWN,
        "ordinary": Use.GUARDED,
        "trap": Use.GUARDED,
        "utility": Use.GUARDED,
    }
    guarded_suite = side_run_suite = "ordinary"

    def __init__(self, name: str = "arena") -> None:
        self.name = name
        self.lore = lore_of(name)
        self.transforms = ArenaTransforms(self.lore)
        self.anchors = ArenaAnchors(self.lore)
        self.images = ArenaImages()
        self.guard = ArenaGuard(self.lore)
        self.judges: Mapping[str, Mapping[str, Any]] = {"arena_oracle": {"world": name}, "refusal_wording": {}}
        self.policies: Mapping[str, Path] = {
            "attacker": ASSETS / name / "attacker",
            "defender": ASSETS / name / "seed_defender",
            "base": ASSETS / name / "base",
        }

    def seeds(self) -> Sequence[Seed]:
        """Every training seed, harmful first."""
        return [domain_seed(self.lore, seed) for seed in self.lore.seeds.training()]

    def suites(self, split: Split, rows: int) -> Sequence[Suite]:
        """The same questions in every run, since runs are compared on them. A case is one seed with its attacks."""
        return [
            Suite(suite.name, self._cases(suite), suite.measures, TITLES[suite.name], suite.name in HEADLINES)
            for suite in self.lore.suites.of(split, rows=rows)
        ]

    def is_reserved(self, text: str) -> bool:
        """A request of another split, of the held-out family or with a held-out template; what cannot be read is none."""
        request = self.lore.reader.parse(text)
        return request is not None and self.lore.splits.is_reserved(request)

    def _cases(self, suite: ArenaSuite) -> list[EvaluationCase]:
        rows = sorted(suite.rows, key=lambda row: row.seed)
        return [
            EvaluationCase(
                domain_seed(self.lore, self.lore.seeds.of(text)),
                tuple(RecordedAttack(row.attack, family_of(self.lore, row.attack)) for row in same),
            )
            for text, same in groupby(rows, key=lambda row: row.seed)
        ]


def arena_b() -> Arena:
    return Arena("arena_b")


def arena_c() -> Arena:
    return Arena("arena_c")
