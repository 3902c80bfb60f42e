"""No row of a suite is what a model learned from, and no row of one split is in another."""

import random
from collections.abc import Iterable

import pytest

from harden.domain.game import Split
from harden.trainer.core.hygiene import overlaps
from harden.worlds.arena import build, language
from harden.worlds.arena.build import Teacher
from harden.worlds.arena.bundle import Arena
from harden.worlds.arena.language import DIRECT, REFUSAL, Goal, Request
from harden.worlds.arena.lore import Lore, lore_of
from harden.worlds.arena.splits import SHARES, Part
from harden.worlds.arena.tokenizer import Encoder, build_tokenizer
from harden.worlds.arena.world import Group
from tests.unit.arena.worlds import LORE, READER, SEEDS, SPLITS, WORLD

NUM_EXAMPLES = 2000
TRAINING = SEEDS.training()


def cell_of(request: Request) -> tuple:
    """The unit of the split: a subject in a cell; for direct requests and utility also the templates."""
    goal, cell = request.goal, request.cell
    if goal.is_utility:
        return (goal.intent, goal.subject, cell.wrappers, request.wrapper_templates, request.intent_template)
    if cell == DIRECT:
        return (goal.subject, request.wrapper_templates, request.encoding_template, request.intent_template)
    return (goal.subject, cell.family)


def cells_of(lore: Lore, texts: Iterable[str]) -> set[tuple]:
    requests = [lore.reader.parse(text) for text in texts]
    assert None not in requests
    return {cell_of(request) for request in requests}


@pytest.fixture(scope="module", params=["arena", "arena_b", "arena_c"])
def lore(request: pytest.FixtureRequest) -> Lore:
    return lore_of(request.param)


@pytest.fixture(scope="module")
def learned(lore: Lore) -> dict[str, list[str]]:
    """Thousands of requests that every model and every part of the game learns from, by who does."""
    encoder = Encoder(build_tokenizer(lore.world))
    teacher = Teacher(lore, encoder, random.Random(3))

    def asked(example: build.Example) -> str:
        shown = iter(example.shown)
        words = encoder.decode(example.prompt[1:-1]).split()
        text, is_in_picture = [], False
        for word in words:
            if word != "<|image|>":
                text.append(word)
            elif not is_in_picture:
                text += ["<image>", next(shown), "</image>"]
            is_in_picture = word == "<|image|>"
        return " ".join(text)

    base = [asked(teacher.base_example(build.TEXT_MIX[n % 2])) for n in range(NUM_EXAMPLES)]
    base += [asked(teacher.base_example(build.JOINT_MIX, build.IMAGE_SHARE)) for _ in range(NUM_EXAMPLES)]
    attacks = [teacher.attacker_example() for _ in range(NUM_EXAMPLES)]
    seeds = lore.seeds.training()
    return {
        "base": base,
        "seed": [asked(teacher.seed_example()) for _ in range(NUM_EXAMPLES)],
        "attacker": [text for e in attacks for text in (asked(e), encoder.decode(e.answer))],
        "transforms": [lore.seeds.transform(s.text, n) for s in seeds for n in range(5)],
        "anchors": [lore.seeds.anchor(s.text, n)[0] for s in seeds for n in range(5)],
        "seeds": [s.text for s in seeds],
    }


def test_no_suite_asks_what_a_model_learned_from(lore: Lore, learned: dict[str, list[str]]) -> None:
    seen = {who: cells_of(lore, texts) for who, texts in learned.items()}
    for split in Split:
        for suite in lore.suites.of(split):
            rows = cells_of(lore, [row.attack for row in suite.rows])
            assert not {who: rows & cells for who, cells in seen.items() if rows & cells}, (split, suite.name)
            assert (
                overlaps({"learned": [t for texts in learned.values() for t in texts], "suite": [r.attack for r in suite.rows]})
                == []
            )


def test_splits_share_no_cell(lore: Lore) -> None:
    rows = {s: cells_of(lore, [row.attack for suite in lore.suites.of(s) for row in suite.rows]) for s in Split}
    assert not rows[Split.TUNE] & rows[Split.MONITOR]
    assert not rows[Split.TUNE] & rows[Split.FINAL]
    assert not rows[Split.MONITOR] & rows[Split.FINAL]


def test_nothing_that_is_attacked_or_refused_wears_what_is_held_out(lore: Lore, learned: dict[str, list[str]]) -> None:
    for who in ("attacker", "transforms", "seeds"):
        assert not any(lore.splits.is_reserved(lore.reader.parse(text)) for text in learned[who]), who


def test_nobody_is_told_that_a_potion_on_no_list_is_restricted(lore: Lore, learned: dict[str, list[str]]) -> None:
    untold = {p.name for p in lore.world.of(Group.UNLISTED, Group.ORDINARY_HELD_OUT)}
    for who, texts in learned.items():
        goals = {lore.reader.parse(text).goal for text in texts}
        assert not {g for g in goals if g.subject in untold and g.intent == "allowed"}, who
        # The base refuses nothing, and the attacker asks for every potion alike.
        if who not in ("base", "attacker"):
            assert not {g for g in goals if g.subject in untold and g.intent == "brew"}, who


def test_a_base_refuses_nothing_and_an_anchor_only_what_is_listed_and_asked_for_plainly() -> None:
    encoder = Encoder(build_tokenizer(WORLD))
    teacher = Teacher(LORE, encoder, random.Random(4))
    answers = [encoder.decode(teacher.base_example(build.TEXT_MIX[0]).answer) for _ in range(500)]
    assert REFUSAL not in answers
    for seed in TRAINING:
        text, answer = SEEDS.anchor(seed.text, 1)
        assert (answer == REFUSAL) == seed.is_harmful
        assert not seed.is_harmful or READER.parse(text).cell == DIRECT


def test_shares_are_kept_for_every_potion() -> None:
    for potion in WORLD.potions:
        parts = [SPLITS.part(Request(Goal("brew", potion.name), cell)) for cell in language.ATTACKABLE]
        for part, share in SHARES.items():
            assert parts.count(part) / len(parts) == pytest.approx(share, abs=0.005)


def test_the_part_does_not_depend_on_what_is_asked_about_the_potion() -> None:
    rng = random.Random(5)
    for _ in range(200):
        name = rng.choice(WORLD.potions).name
        request = language.sample(WORLD, Goal("brew", name), rng)
        same = [Request(Goal(i, name), request.cell, request.wrapper_templates, request.layer_templates,
                        request.encoding_template, request.intent_template) for i in (*language.INTENTS, "quote")]  # fmt: skip
        assert {SPLITS.part(one) for one in same} == {SPLITS.part(request)}


def test_a_world_knows_which_attacks_are_reserved() -> None:
    arena = Arena()
    for split in Split:
        assert all(arena.is_reserved(a.text) for suite in arena.suites(split, 50) for case in suite.cases for a in case.attacks)
    assert not any(arena.is_reserved(seed.text) for seed in arena.seeds())
    assert not arena.is_reserved("what nobody can read")


def test_a_request_that_no_part_has_is_not_drawn() -> None:
    shown = next(c for c in language.SHALLOW if SPLITS.part(Request(Goal("brew", WORLD.potions[0].name), c)) is Part.FINAL)
    with pytest.raises(LookupError):
        SPLITS.draw(Goal("brew", WORLD.potions[0].name), random.Random(0), (shown,))
