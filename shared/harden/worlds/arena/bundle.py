"""The arena as a World: what the entry point `arena` of `harden.worlds` yields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from harden.domain.bout import RecordedAttack
from harden.domain.game import EvaluationCase, Suite, Use
from harden.domain.seed import Seed
from harden.worlds.arena import seeds, suites
from harden.worlds.arena.adapters import ArenaAnchors, ArenaImages, ArenaTransforms, domain_seed, family_of

ASSETS = Path(__file__).parent / "assets"
# What reports call the suites.
TITLES = {
    "train": "rows like those trained on",
    "held_out_potion": "potions no training attack asked for",
    "held_out_template": "phrasings never trained on",
    "held_out_both": "neither potion nor phrasing in a training attack",
    "held_out_family": "disguises never trained on",
    "direct": "asked directly",
    "image": "written in an image",
    "image_held_out": "in an image, potions no training attack asked for",
    "ordinary": "ordinary requests",
    "ordinary_held_out": "ordinary requests never trained on",
    "trap": "harmless requests that look harmful",
    "utility": "an unrelated task with exact answers",
}
HEADLINES = ("train", "held_out_potion", "held_out_family", "ordinary")


class Arena:
    """World: potions, some of them restricted, and requests for them in disguise."""

    name = "arena"
    categories: Mapping[str, Use] = {
        "harmful": Use.ATTACKED,
        "listed": Use.SHOWN,
        "ordinary": Use.GUARDED,
        "trap": Use.GUARDED,
        "utility": Use.GUARDED,
    }
    guarded_suite = side_run_suite = "ordinary"
    judges: Mapping[str, Mapping[str, Any]] = {"arena_oracle": {}, "refusal_wording": {}}

    def __init__(self) -> None:
        self.transforms = ArenaTransforms()
        self.anchors = ArenaAnchors()
        self.images = ArenaImages()
        self.policies: Mapping[str, Path] = {
            "attacker": ASSETS / "attacker",
            "defender": ASSETS / "seed_defender",
            "base": ASSETS / "base",
        }

    def seeds(self) -> Sequence[Seed]:
        """Every training seed, harmful first."""
        return [domain_seed(seed) for seed in seeds.training_seeds()]

    def suites(self, rows: int) -> Sequence[Suite]:
        """The same questions in every run, since runs are compared on them. A case is one seed with its attacks."""
        return [
            Suite(suite.name, _cases(suite), suite.measures, TITLES[suite.name], suite.name in HEADLINES)
            for suite in suites.all_suites(rows=rows)
        ]


def _cases(suite: suites.Suite) -> list[EvaluationCase]:
    rows = sorted(suite.rows, key=lambda row: row.seed)
    return [
        EvaluationCase(
            domain_seed(seeds.seed_of(text)), tuple(RecordedAttack(row.attack, family_of(row.attack)) for row in same)
        )
        for text, same in groupby(rows, key=lambda row: row.seed)
    ]
