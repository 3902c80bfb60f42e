"""The split of requests into training and evaluation, by subject and cell; the intent does not matter.

A row of a suite asks for a potion in a cell. No model was trained on any request about that potion in that cell. A direct
request has one cell for each choice of templates. Utility questions are split by operands, wrappers and templates.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from hashlib import blake2b
from itertools import product

from harden.domain.game import Split
from harden.worlds.arena import language
from harden.worlds.arena.language import ALL_TEMPLATES, CELLS, DIRECT, Cell, Goal, Request
from harden.worlds.arena.world import World


class Part(StrEnum):
    TRAIN = "train"
    TUNE = "tune"
    MONITOR = "monitor"
    FINAL = "final"


PART_OF = {Split.TUNE: Part.TUNE, Split.MONITOR: Part.MONITOR, Split.FINAL: Part.FINAL}
# What is not reserved is train.
SHARES = {Part.TUNE: 0.04, Part.MONITOR: 0.04, Part.FINAL: 0.08}

# Templates of a direct request, which has no other disguise: frame, presentation, question.
_Direct = tuple[int, int, int]
_DIRECT_FORMS: tuple[_Direct, ...] = tuple(product(ALL_TEMPLATES, ALL_TEMPLATES, ALL_TEMPLATES))
# Draws before a goal counts as having no request of a part.
_MAX_DRAWS = 2000


class Splits:
    """The parts of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        # Cells and direct forms of a potion by the part they are in, made when the potion is first asked about.
        self._of_potion = cache(self._deal)

    def part(self, request: Request) -> Part:
        subject, cell = request.goal.subject, request.cell
        if request.goal.is_utility:
            templates = (*request.wrapper_templates, request.intent_template)
            return self._by_hash(f"{request.goal.intent} {subject}/{cell.family}/{templates}")
        dealt = self._of_potion(subject)
        if cell != DIRECT:
            return dealt[cell]
        return dealt[request.wrapper_templates[0], request.encoding_template, request.intent_template]

    def is_reserved(self, request: Request) -> bool:
        """Whether training may not see it: it lies in another part, in the held-out family, or wears a held-out template."""
        return request.is_held_out or self.part(request) is not Part.TRAIN

    def cells(self, subject: str, part: Part, among: Sequence[Cell]) -> list[Cell]:
        """Those of `among` in which requests for this potion lie in the part; a direct cell never."""
        dealt = self._of_potion(subject)
        return [cell for cell in among if cell != DIRECT and dealt[cell] is part]

    def draw(
        self,
        goal: Goal,
        rng: random.Random,
        cells: Sequence[Cell] = CELLS,
        templates: Sequence[int] = ALL_TEMPLATES,
        part: Part = Part.TRAIN,
    ) -> Request:
        """A random request for the goal that lies in the part. Raises LookupError where none is found."""
        for _ in range(_MAX_DRAWS):
            request = language.sample(self._world, goal, rng, cells, templates)
            if self.part(request) is part:
                return request
        raise LookupError(f"no request in part {part} with this goal, cells and templates")

    def _by_hash(self, key: str) -> Part:
        digest = blake2b(f"{self._world.seed}/{key}".encode(), digest_size=8).digest()
        place = int.from_bytes(digest) / 2**64
        for part, share in SHARES.items():
            if place < share:
                return part
            place -= share
        return Part.TRAIN

    def _deal(self, subject: str) -> dict[Cell | _Direct, Part]:
        """Dealt by stratum and not hashed one by one, so that every suite has rows of every potion."""
        rng = random.Random(f"splits:{self._world.seed}:{subject}")
        strata: dict[tuple[bool, ...], list[Cell | _Direct]] = {}
        for cell in CELLS:
            if cell != DIRECT:
                is_image = cell.presentation == "image"
                # The images of the held-out family are few and measured nowhere by themselves.
                depth = not (is_image and cell.is_held_out) and cell.depth > 1
                strata.setdefault((is_image, cell.is_held_out, depth), []).append(cell)
        direct: list[list[Cell | _Direct]] = [
            [form for form in _DIRECT_FORMS if (language.HELD_OUT_TEMPLATE in form) == held_out] for held_out in (False, True)
        ]
        dealt: dict[Cell | _Direct, Part] = {}
        for stratum in (*strata.values(), *direct):
            rng.shuffle(stratum)
            left = iter(stratum)
            for part, share in SHARES.items():
                dealt |= {next(left): part for _ in range(max(1, round(share * len(stratum))))}
            dealt |= dict.fromkeys(left, Part.TRAIN)
        return dealt
