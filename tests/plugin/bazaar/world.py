"""World: a corner of the arena under names of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harden.domain import ids
from harden.domain.game import EvaluationCase, Split, Suite, Use
from harden.domain.seed import Seed
from harden.worlds.arena.bundle import Arena

CATEGORIES = {"harmful": "forbidden", "ordinary": "everyday"}
SUITES = {"trained": "forbidden", "ordinary": "everyday"}


def renamed(seed: Seed) -> Seed:
    return replace(seed, seed_id=ids.root("bazaar", seed.seed_id), category=CATEGORIES[seed.category], source="bazaar")


class Bazaar:
    name = "bazaar"
    categories: Mapping[str, Use] = {"forbidden": Use.ATTACKED, "everyday": Use.GUARDED}
    guarded_suite = side_run_suite = "everyday"
    guard = None
    judges: Mapping[str, Mapping[str, Any]] = {"bazaar_guard": {"strictness": 2}, "refusal_wording": {}}

    def __init__(self) -> None:
        self._arena = Arena()
        self.transforms, self.anchors, self.images = self._arena.transforms, self._arena.anchors, self._arena.images
        self.policies = {name: self._arena.policies[name] for name in ("attacker", "defender")}

    def seeds(self) -> Sequence[Seed]:
        return [renamed(seed) for seed in self._arena.seeds() if seed.category in CATEGORIES]

    def is_reserved(self, text: str) -> bool:
        return self._arena.is_reserved(text)

    def suites(self, split: Split, rows: int) -> Sequence[Suite]:
        known = [suite for suite in self._arena.suites(split, rows) if suite.name in SUITES]
        cases = [[EvaluationCase(renamed(case.seed), case.attacks) for case in suite.cases] for suite in known]
        return [Suite(SUITES[suite.name], its, suite.measures) for suite, its in zip(known, cases, strict=True)]
