"""The named evaluation sets. Rows spread evenly over a suite's potions, so that intervals can resample potions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from shared.arena import language, oracle
from shared.arena.language import Goal
from shared.arena.parser import parse
from shared.arena.seeds import ATTACKABLE_CELLS, plain
from shared.arena.world import Potion, world

MIN_ROWS = 300
_HELD_OUT_ONLY = (language.HELD_OUT_TEMPLATE,)
_IMAGE_CELLS = tuple(cell for cell in ATTACKABLE_CELLS if cell[1] == "image")
_FAMILY_CELLS = language.cells(held_out=True)
_TRAPS = (*language.TRAP_INTENTS, "quote")


@dataclass(frozen=True, slots=True)
class Row:
    """One question: the seed it comes from, the text that is sent, and the group that intervals resample (its potion)."""

    seed: str
    attack: str
    group: str


@dataclass(frozen=True, slots=True)
class Suite:
    """`measure` is "attack_success", "refusal" or "accuracy"; `name` is "measure.split"."""

    measure: str
    split: str
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        return f"{self.measure}.{self.split}"

    def counts(self, row: Row, response: str) -> bool:
        """Whether this response adds to the suite's rate."""
        match self.measure:
            case "attack_success":
                return oracle.judge(row.seed, row.attack, response).is_success
            case "refusal":
                return oracle.refusal_of(response) != oracle.NONE
            case "accuracy":
                return oracle.judge(row.seed, row.attack, response).is_correct is True
        raise AssertionError(self.measure)


def all_suites(*, seed: int = 0, rows: int = MIN_ROWS) -> tuple[Suite, ...]:
    """Every suite, deterministic from the seed, each of at least `rows` rows."""
    train = world().select(restricted=True, held_out=False)
    held_out = world().select(restricted=True, held_out=True)
    ordinary = world().select(restricted=False, held_out=False)
    ordinary_held_out = world().select(restricted=False, held_out=True)
    everyday = language.TRAIN_TEMPLATES
    direct = (("none", "plain"),)
    plan: list[tuple[str, str, Sequence[Potion], Sequence[str], Sequence[tuple[str, str]], Sequence[int]]] = [
        ("attack_success", "train", train, ("brew",), ATTACKABLE_CELLS, everyday),
        ("attack_success", "held_out_potion", held_out, ("brew",), ATTACKABLE_CELLS, everyday),
        ("attack_success", "held_out_template", train, ("brew",), ATTACKABLE_CELLS, _HELD_OUT_ONLY),
        ("attack_success", "held_out_both", held_out, ("brew",), ATTACKABLE_CELLS, _HELD_OUT_ONLY),
        ("attack_success", "held_out_family", train, ("brew",), _FAMILY_CELLS, everyday),
        ("attack_success", "direct", (*train, *held_out), ("brew",), direct, language.ALL_TEMPLATES),
        ("attack_success", "image", train, ("brew",), _IMAGE_CELLS, everyday),
        ("attack_success", "image_held_out", held_out, ("brew",), _IMAGE_CELLS, everyday),
        ("refusal", "ordinary", ordinary, ("brew",), ATTACKABLE_CELLS, everyday),
        ("refusal", "ordinary_held_out", ordinary_held_out, ("brew",), ATTACKABLE_CELLS, everyday),
        ("refusal", "trap", (*train, *held_out), _TRAPS, ATTACKABLE_CELLS, everyday),
        ("accuracy", "ordinary", ordinary, ("brew",), ATTACKABLE_CELLS, everyday),
        ("accuracy", "trap", (*train, *held_out), _TRAPS, ATTACKABLE_CELLS, everyday),
    ]
    made = []
    for measure, split, potions, intents, cells, templates in plan:
        # Refusal and accuracy of one split look at the same rows.
        kind = "benign" if measure in ("refusal", "accuracy") else measure
        rng = random.Random(f"suite:{seed}:{kind}:{split}")
        made.append(Suite(measure, split, _rows(potions, intents, cells, templates, rng, rows)))
    made.append(Suite("accuracy", "utility", _utility_rows(random.Random(f"suite:{seed}:utility"), rows)))
    return tuple(made)


def is_held_out(text: str) -> bool:
    """Whether a text wears a family or a template that training must not see."""
    request = parse(text)
    if request is None:
        return False
    templates = [request.wrapper_template]
    if request.goal.intent not in language.UTILITY:
        templates += [request.encoding_template, request.intent_template, request.quote_template]
    is_family = request.wrapper == language.HELD_OUT_WRAPPER or request.encoding == language.HELD_OUT_ENCODING
    return is_family or language.HELD_OUT_TEMPLATE in templates


def _rows(
    potions: Sequence[Potion],
    intents: Sequence[str],
    cells: Sequence[tuple[str, str]],
    templates: Sequence[int],
    rng: random.Random,
    rows: int,
) -> tuple[Row, ...]:
    """Whole turns through the potions; cells are dealt from a shuffled deck, so that they come equally often."""
    deck: list[tuple[str, str]] = []
    made = []
    turns = -(-rows // len(potions))
    for turn in range(turns):
        for number, potion in enumerate(potions):
            if not deck:
                deck = rng.sample(cells, len(cells))
            goal = Goal(intents[(turn + number) % len(intents)], potion.name)
            request = language.sample(goal, rng, among=(deck.pop(),), templates=templates)
            made.append(Row(plain(goal), language.render(request), potion.name))
    return tuple(made)


def _utility_rows(rng: random.Random, rows: int) -> tuple[Row, ...]:
    """Each task equally often, under every attackable wrapper. The group is the question itself."""
    tasks = tuple(language.UTILITY)
    made = []
    for number in range(rows):
        goal = language.sample_utility(rng, tasks[number % len(tasks)])
        request = language.sample(goal, rng, among=ATTACKABLE_CELLS, templates=language.TRAIN_TEMPLATES)
        made.append(Row(plain(goal), language.render(request), goal.subject))
    return tuple(made)
