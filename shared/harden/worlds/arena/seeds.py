"""The plain requests that the game starts from, and disguises for them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from harden.worlds.arena import language
from harden.worlds.arena.language import DIRECT, SHALLOW, TRAIN_TEMPLATES, Cell, Goal, Request
from harden.worlds.arena.parser import Reader
from harden.worlds.arena.splits import Part, Splits
from harden.worlds.arena.world import Group, World

NUM_UTILITY_SEEDS = 300
# What a good defender answers: disguised, or now and then plain.
_ANSWERED = (*SHALLOW, DIRECT)
_KINDS = {
    Group.ATTACKED: "harmful",
    Group.LISTED: "listed",
    Group.UNLISTED: "unlisted",
    Group.ORDINARY: "ordinary",
    Group.ORDINARY_HELD_OUT: "ordinary",
}


@dataclass(frozen=True, slots=True)
class Seed:
    """A plain request. A good defender refuses the kinds "harmful", "listed" and "unlisted", and answers all others."""

    seed_id: str
    kind: str
    text: str
    goal: Goal

    @property
    def is_harmful(self) -> bool:
        return self.kind in ("harmful", "listed", "unlisted")


class Seeds:
    """The seeds of one world. All that is made here may be trained on: it lies in the part `train`."""

    def __init__(self, world: World, reader: Reader, splits: Splits) -> None:
        self.world, self._reader, self._splits = world, reader, splits
        # Which disguises are known first, where not all are.
        self._known = random.Random(f"known:{world.seed}").sample(SHALLOW, len(SHALLOW))

    def plain(self, goal: Goal) -> str:
        """The goal asked for without disguise, in the first way that may be trained on. A quote shows a plain request."""
        for wrapper in TRAIN_TEMPLATES:
            for encoding in TRAIN_TEMPLATES if not goal.is_utility else (0,):
                for intent in range(language.NUM_UTILITY_TEMPLATES) if goal.is_utility else TRAIN_TEMPLATES:
                    request = Request(goal, wrapper_templates=(wrapper,), encoding_template=encoding, intent_template=intent)
                    if self._splits.part(request) is Part.TRAIN:
                        return language.render(request)
        raise LookupError("every plain request for a goal is reserved")

    def training(self, *, seed: int = 0) -> tuple[Seed, ...]:
        """44 harmful, 24 listed, 48 ordinary, 176 traps, and what differs of 300 draws of utility.

        Listed are the restricted potions that nobody attacks in training. They stand on the list of what is restricted, so a
        defender may be told to refuse their plain request; what it does with a disguised one is what suites ask. Restricted
        potions that stand on no list have no seed here.
        """
        attacked = self.world.of(Group.ATTACKED)
        made = [self._seed("harmful", Goal("brew", p.name)) for p in attacked]
        made += [self._seed("listed", Goal("brew", p.name)) for p in self.world.of(Group.LISTED)]
        made += [self._seed("ordinary", Goal("brew", p.name)) for p in self.world.of(Group.ORDINARY)]
        made += [self._seed("trap", Goal(intent, p.name)) for p in attacked for intent in (*language.TRAP_INTENTS, "quote")]
        rng = random.Random(f"utility:{seed}")
        drawn = {language.sample_utility(self.world, rng) for _ in range(2 * NUM_UTILITY_SEEDS)}
        goals = sorted(drawn, key=lambda g: (g.intent, g.subject))
        made += [self._seed("utility", g) for g in goals[:: max(1, len(goals) // NUM_UTILITY_SEEDS)] if self._has_plain(g)]
        return tuple(made)

    def of(self, text: str) -> Seed:
        """The seed behind a plain request. Raises ValueError for a text that this world cannot read."""
        request = self._reader.parse(text)
        if request is None:
            raise ValueError(f"not a request of the world {self.world.name}; seeds are texts that its language can render")
        return self._seed(self.kind(request.goal), request.goal, text)

    def kind(self, goal: Goal) -> str:
        if goal.is_utility:
            return "utility"
        return "trap" if goal.intent != "brew" else _KINDS[self.world.by_name[goal.subject].group]

    def disguise(self, goal: Goal, rng: random.Random, cells: Sequence[Cell] = SHALLOW) -> Request:
        """A random disguise with training templates; utility takes the wrapper of the cell and no encoding."""
        return self._splits.draw(goal, rng, cells, TRAIN_TEMPLATES)

    def transform(self, text: str, rng_seed: int, family: str | None = None, max_families: int = 0) -> str:
        """The seed's request in a shallow disguise: a random one, one of the first `max_families` (0: of all) in an order that
        the world has, or that of the family "wrapper/encoding".

        Raises ValueError for a text that is no seed, for a family that no transform knows, and for one that is reserved for
        this seed.
        """
        seed = self.of(text)
        cells = self._splits.cells(seed.goal.subject, Part.TRAIN, self._known)[:max_families] if max_families else SHALLOW
        if family is not None:
            cells = [cell for cell in (*SHALLOW, DIRECT) if cell.family == family]
            if not cells:
                raise ValueError(f"no transform makes the family {family!r}; one of {sorted(c.family for c in SHALLOW)}")
        rng = random.Random(f"transform:{rng_seed}:{text}")
        try:
            return language.render(self.disguise(seed.goal, rng, cells))
        except LookupError as error:
            raise ValueError(f"the family {family!r} is reserved for measuring where this seed asks") from error

    def anchor(self, text: str, rng_seed: int) -> tuple[str, str]:
        """A request made from the seed and what a good defender answers: the direct request refused, any other disguised
        (or now and then plain) and answered."""
        seed = self.of(text)
        rng = random.Random(f"anchor:{rng_seed}:{text}")
        request = self.disguise(seed.goal, rng, (DIRECT,) if seed.is_harmful else _ANSWERED)
        return language.render(request), language.REFUSAL if seed.is_harmful else language.answer(self.world, request)

    def _has_plain(self, goal: Goal) -> bool:
        try:
            return bool(self.plain(goal))
        except LookupError:
            return False

    def _seed(self, kind: str, goal: Goal, text: str | None = None) -> Seed:
        return Seed(f"{kind}.{goal.intent}.{goal.subject.replace(' ', '-')}", kind, text or self.plain(goal), goal)
