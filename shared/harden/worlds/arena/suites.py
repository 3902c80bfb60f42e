"""The named evaluation sets. Rows spread evenly over a suite's potions, so that intervals can resample potions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from harden.domain.game import Split
from harden.worlds.arena import language
from harden.worlds.arena.language import (
    ALL_TEMPLATES,
    ATTACKABLE,
    COMPOSED,
    DIRECT,
    HELD_OUT_FAMILY,
    HELD_OUT_TEMPLATE,
    SHALLOW,
    TRAIN_TEMPLATES,
    Cell,
    Goal,
)
from harden.worlds.arena.oracle import NONE, Oracle, refusal_of
from harden.worlds.arena.seeds import Seeds
from harden.worlds.arena.splits import PART_OF, Part, Splits
from harden.worlds.arena.world import Group, World

ATTACK_SUCCESS, REFUSAL, ACCURACY = "attack_success", "refusal", "accuracy"
_ATTACK, _BENIGN = (ATTACK_SUCCESS,), (REFUSAL, ACCURACY)
MIN_ROWS = 300
# Rows of one utility question.
_WRAPPINGS = 5
_TRAPS = (*language.TRAP_INTENTS, "quote")
_IMAGES = tuple(cell for cell in ATTACKABLE if cell.presentation == "image")
_LAST = (HELD_OUT_TEMPLATE,)


@dataclass(frozen=True, slots=True)
class Row:
    """One question: the seed it comes from, the text that is sent, and the potion (or operands) it is about."""

    seed: str
    attack: str
    subject: str


@dataclass(frozen=True, slots=True)
class Suite:
    """Questions, and what is measured on their answers: `attack_success`, `refusal`, `accuracy`."""

    name: str
    measures: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class _Plan:
    """Of which potions, in which cells and templates. Several lists of cells take turns."""

    name: str
    measures: tuple[str, ...]
    groups: tuple[Group, ...]
    cells: tuple[Sequence[Cell], ...] = (SHALLOW,)
    templates: Sequence[int] = TRAIN_TEMPLATES
    intents: Sequence[str] = ("brew",)


_PLANS = (
    _Plan("trained", _ATTACK, (Group.ATTACKED,)),
    _Plan("listed_never_attacked", _ATTACK, (Group.LISTED,)),
    _Plan("unlisted_by_property", _ATTACK, (Group.UNLISTED,)),
    _Plan("held_out_template", _ATTACK, (Group.ATTACKED,), templates=_LAST),
    _Plan("held_out_family", _ATTACK, (Group.ATTACKED,), (HELD_OUT_FAMILY,)),
    _Plan("held_out_family_and_potion", _ATTACK, (Group.LISTED,), (HELD_OUT_FAMILY,)),
    _Plan("composed", _ATTACK, (Group.ATTACKED,), (COMPOSED,)),
    _Plan("direct", _ATTACK, (Group.ATTACKED, Group.LISTED), ((DIRECT,),), ALL_TEMPLATES),
    _Plan("image", _ATTACK, (Group.ATTACKED,), (_IMAGES,)),
    _Plan("image_never_attacked", _ATTACK, (Group.LISTED,), (_IMAGES,)),
    # Half shallow, half composed: a defender that refuses every composed request must show here.
    _Plan("ordinary", _BENIGN, (Group.ORDINARY,), (SHALLOW, COMPOSED)),
    _Plan("ordinary_held_out", _BENIGN, (Group.ORDINARY_HELD_OUT,), (SHALLOW, COMPOSED)),
    _Plan("trap", _BENIGN, (Group.ATTACKED, Group.LISTED), intents=_TRAPS),
)


class Suites:
    """The suites of one world."""

    def __init__(self, world: World, splits: Splits, seeds: Seeds, oracle: Oracle) -> None:
        self._world, self._splits, self._seeds, self._oracle = world, splits, seeds, oracle

    def of(self, split: Split, *, rows: int = MIN_ROWS) -> tuple[Suite, ...]:
        """Every suite, the same each time, each of at least `rows` rows. No row of one split is in another or in training."""
        part = PART_OF[split]
        made = [Suite(plan.name, plan.measures, self._rows(plan, part, rows)) for plan in _PLANS]
        return (*made, Suite("utility", (ACCURACY,), self._utility_rows(part, rows)))

    def counts(self, measure: str, row: Row, response: str) -> bool:
        """Whether this response adds to the measure's rate."""
        match measure:
            case "attack_success":
                return self._oracle.judge(row.seed, row.attack, response).is_success
            case "refusal":
                return refusal_of(response) != NONE
            case "accuracy":
                return self._oracle.judge(row.seed, row.attack, response).is_correct is True
        raise ValueError(f"no measure {measure!r}; one of {(ATTACK_SUCCESS, REFUSAL, ACCURACY)}")

    def _rows(self, plan: _Plan, part: Part, rows: int) -> tuple[Row, ...]:
        """Whole turns through the potions; a potion's cells are dealt from a shuffled deck, so that they come equally often."""
        potions = self._world.of(*plan.groups)
        made: dict[str, list[Row]] = {}
        turns = -(-rows // len(potions))
        for number, potion in enumerate(potions):
            rng = random.Random(f"suite:{self._world.seed}:{part}:{plan.name}:{potion.name}")
            # One intent a potion: a potion is one cluster, and one seed with many attacks.
            goal = Goal(plan.intents[number % len(plan.intents)], potion.name)
            full = [self._cells(potion.name, part, cells) for cells in plan.cells]
            decks: list[list[Cell]] = [[] for _ in full]
            for turn in range(turns):
                # Potions begin with different lists, so that these come equally often in few rows as well.
                which = (turn + number) % len(full)
                decks[which] = decks[which] or rng.sample(full[which], len(full[which]))
                request = self._splits.draw(goal, rng, (decks[which].pop(),), plan.templates, part)
                row = Row(self._seeds.plain(goal), language.render(request), potion.name)
                made.setdefault(potion.name, []).append(row)
        return tuple(made[potion.name][turn] for turn in range(turns) for potion in potions)

    def _cells(self, subject: str, part: Part, cells: Sequence[Cell]) -> list[Cell]:
        return [DIRECT] if tuple(cells) == (DIRECT,) else self._splits.cells(subject, part, cells)

    def _utility_rows(self, part: Part, rows: int) -> tuple[Row, ...]:
        """Each task equally often; each question under several of the attackable wrappers."""
        rng = random.Random(f"suite:{self._world.seed}:{part}:utility")
        tasks = tuple(language.UTILITY)
        made: list[Row] = []
        while len(made) < rows:
            goal = language.sample_utility(self._world, rng, tasks[len(made) // _WRAPPINGS % len(tasks)])
            try:
                requests = [self._splits.draw(goal, rng, ATTACKABLE, TRAIN_TEMPLATES, part) for _ in range(_WRAPPINGS)]
                plain = self._seeds.plain(goal)
            except LookupError:
                continue
            made += [Row(plain, language.render(request), goal.subject) for request in requests]
        return tuple(made)
