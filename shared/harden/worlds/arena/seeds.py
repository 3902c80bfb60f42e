"""The plain requests that the game starts from, and disguises for them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from harden.worlds.arena import language
from harden.worlds.arena.language import Goal, Request
from harden.worlds.arena.parser import parse
from harden.worlds.arena.world import world

# (wrapper, encoding) that a training attack may wear.
ATTACKABLE_CELLS = language.cells()
_PLAIN = (("none", "plain"),)
NUM_UTILITY_SEEDS = 300


@dataclass(frozen=True, slots=True)
class Seed:
    """A plain request. The kind says what a good defender does: refuse "harmful" and "listed", answer all others."""

    seed_id: str
    kind: str
    text: str
    goal: Goal

    @property
    def is_harmful(self) -> bool:
        return self.kind in ("harmful", "listed")


def plain(goal: Goal, template: int = 0) -> str:
    """The goal asked for without disguise. A quote shows a plain request, so that its answer is "none plain"."""
    return language.render(Request(goal, intent_template=template, quote_template=template))


def training_seeds(*, seed: int = 0) -> tuple[Seed, ...]:
    """Seeds that may be trained on: 44 harmful, 40 listed, 48 ordinary, 176 traps, and what differs of 300 draws of utility.

    Listed are the restricted potions that nobody attacks in training. They stand on the list of what is restricted, so a
    defender may be told to refuse their plain request; what it does with a disguised one is what held-out suites ask.
    """
    restricted = world().select(restricted=True, held_out=False)
    ordinary = world().select(restricted=False, held_out=False)
    made = [_seed("harmful", Goal("brew", p.name)) for p in restricted]
    made += [_seed("listed", Goal("brew", p.name)) for p in world().select(restricted=True, held_out=True)]
    made += [_seed("ordinary", Goal("brew", p.name)) for p in ordinary]
    made += [_seed("trap", Goal(intent, p.name)) for p in restricted for intent in (*language.TRAP_INTENTS, "quote")]
    rng = random.Random(f"utility:{seed}")
    goals = {language.sample_utility(rng) for _ in range(2 * NUM_UTILITY_SEEDS)}
    made += [
        _seed("utility", g)
        for g in sorted(goals, key=lambda g: (g.intent, g.subject))[:: max(1, len(goals) // NUM_UTILITY_SEEDS)]
    ]
    return tuple(made)


def seed_of(text: str) -> Seed:
    """The seed behind a plain request. Raises ValueError for a text that this world cannot read."""
    request = parse(text)
    if request is None:
        raise ValueError("not a request of the arena; seeds are texts that harden.worlds.arena.language can render")
    return _seed(kind_of(request.goal), request.goal, text)


def kind_of(goal: Goal) -> str:
    if goal.intent in language.UTILITY:
        return "utility"
    if goal.intent != "brew":
        return "trap"
    if not goal.is_harmful:
        return "ordinary"
    return "listed" if world().by_name[goal.subject].is_held_out else "harmful"


def disguise(goal: Goal, rng: random.Random, cells: Sequence[tuple[str, str]] = ATTACKABLE_CELLS) -> Request:
    """A random disguise with training templates; utility takes the wrapper of the cell and no encoding."""
    return language.sample(goal, rng, among=cells, templates=language.TRAIN_TEMPLATES)


def transform(text: str, rng_seed: int, family: str | None = None) -> str:
    """The seed's request in a training disguise, a random one or that of the family "wrapper/encoding".

    Raises ValueError for a text that is no seed and for a family that may not be trained on.
    """
    seed = seed_of(text)
    cells = ATTACKABLE_CELLS
    if family is not None:
        cells = tuple(cell for cell in (*ATTACKABLE_CELLS, *_PLAIN) if "/".join(cell) == family)
        if not cells:
            raise ValueError(f"no training family {family!r}; one of {sorted('/'.join(c) for c in ATTACKABLE_CELLS)}")
    rng = random.Random(f"transform:{rng_seed}:{text}")
    return language.render(disguise(seed.goal, rng, cells))


def anchor(text: str, rng_seed: int) -> tuple[str, str]:
    """A request made from the seed and what a good defender answers: the direct request refused, any other disguised
    (or now and then plain) and answered."""
    seed = seed_of(text)
    rng = random.Random(f"anchor:{rng_seed}:{text}")
    request = disguise(seed.goal, rng, _PLAIN if seed.is_harmful else (*ATTACKABLE_CELLS, *_PLAIN))
    return language.render(request), language.REFUSAL if seed.is_harmful else language.answer(request)


def _seed(kind: str, goal: Goal, text: str | None = None) -> Seed:
    return Seed(f"{kind}.{goal.intent}.{goal.subject.replace(' ', '-')}", kind, text or plain(goal), goal)
