import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.trainer.classroom import leaks
from services.trainer.core.replay import ReplayPool, systematic
from shared.domain.bout import Label, RecordedAttack, Seed
from shared.domain.conversation import BlobRef, Conversation, Image, Message, Speaker, Text
from tests.unit.trainer.judged import LEAK, REFUSED, a_judged_bout, a_seed, on_attack, on_response


def attack(text: str, family: str = "persona") -> tuple[Seed, RecordedAttack]:
    return a_seed(), RecordedAttack(text, family)


def a_pool(**counts: int) -> ReplayPool:
    pool = ReplayPool()
    for family, count in counts.items():
        pool.add([attack(f"{family} {i}", family) for i in range(count)])
    return pool


def texts(pool: ReplayPool, count: int, random_seed: int = 0) -> list[str]:
    return [replayed.attack.text for replayed in pool.sample(count, random_seed)]


def test_an_attack_is_taken_in_once() -> None:
    pool = ReplayPool()
    assert pool.add([attack("brew it"), attack("brew it"), attack("  Brew   IT "), attack("brew that")]) == 2
    assert pool.add([attack("brew it")]) == 0
    # For another seed it is another attack.
    assert pool.add([(replace(a_seed(), seed_id="seed-2"), RecordedAttack("brew it", "persona"))]) == 1
    assert len(pool) == 3


def test_a_sample_is_even_over_families_of_unequal_size() -> None:
    drawn = a_pool(persona=500, story=20, urgent=3).sample(30, 0)
    assert Counter(replayed.attack.family for replayed in drawn) == {"persona": 14, "story": 13, "urgent": 3} or Counter(
        replayed.attack.family for replayed in drawn
    ) == {"persona": 13, "story": 14, "urgent": 3}


def test_within_a_family_every_attack_is_as_likely() -> None:
    pool = a_pool(persona=10)
    counts = Counter(text for seed in range(2000) for text in texts(pool, 3, seed))
    expected = 2000 * 3 / 10
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    # 9 degrees of freedom: 27.9 is exceeded once in a thousand.
    assert len(counts) == 10
    assert chi_square < 27.9


def test_nothing_is_drawn_twice_and_never_more_than_there_is() -> None:
    drawn = texts(a_pool(persona=4, story=2), 10)
    assert len(drawn) == len(set(drawn)) == 6
    assert ReplayPool().sample(5, 0) == []


def test_a_sample_depends_on_its_seed_and_on_nothing_else() -> None:
    forward, backward = a_pool(persona=20, story=20), a_pool(story=20, persona=20)
    assert texts(forward, 8, 3) == texts(forward, 8, 3) == texts(backward, 8, 3)
    assert texts(forward, 8, 3) != texts(forward, 8, 4)


def test_families_that_still_work_are_drawn_more_often() -> None:
    pool = ReplayPool(floor=0.1)
    pool.add([attack(f"{family} {i}", family) for family in ("persona", "story", "urgent") for i in range(100)])
    for _ in range(40):
        pool.learn([("persona", 0.5), ("persona", 0.3), ("story", 0.0)])
    drawn = Counter(replayed.attack.family for replayed in pool.sample(17, 0))
    # Weights 0.5, 0.1 and, not tried again, 1.1.
    assert drawn == {"persona": 5, "story": 1, "urgent": 11}


def test_a_family_never_quite_leaves_the_draw() -> None:
    pool = a_pool(persona=100, story=100)
    for _ in range(60):
        pool.learn([("persona", 1.0), ("story", 0.0)])
    counts = Counter(replayed.attack.family for seed in range(600) for replayed in pool.sample(3, seed))
    assert counts["story"] / counts.total() == pytest.approx(0.1 / 1.2, abs=0.02)


def test_success_is_a_moving_average_over_steps() -> None:
    pool = a_pool(persona=1)
    pool.learn([("persona", 0.0), ("persona", 1.0)])
    assert pool.to_json()["success"] == {"persona": pytest.approx(0.85)}  # from 1 to 0.5, three tenths of the way


@given(st.lists(st.floats(0.01, 5), min_size=1, max_size=12), st.integers(0, 40), st.floats(0, 1, exclude_max=True))
def test_parts_are_within_one_of_exact(weights: list[float], count: int, start: float) -> None:
    parts = systematic(count, weights, start)
    assert sum(parts) == count
    assert all(abs(part - count * w / sum(weights)) < 1 + 1e-6 for part, w in zip(parts, weights, strict=True))


def test_of_a_full_family_the_oldest_leave() -> None:
    pool = ReplayPool(max_per_family=3)
    pool.add([attack(f"text {i}") for i in range(5)])
    assert sorted(texts(pool, 9)) == ["text 2", "text 3", "text 4"]
    pool.add([attack("text 0")])
    assert sorted(texts(pool, 9)) == ["text 0", "text 3", "text 4"]


def test_a_pool_survives_json() -> None:
    image = Image(BlobRef("file:///x", "sha256:" + "1" * 64, 7))
    shown = Seed("seed-9", a_seed().label, "trap", Conversation((Message(Speaker.USER, (image, Text("what is it"))),)), "salt")
    pool = a_pool(persona=5, story=2)
    pool.add([(shown, RecordedAttack("<image>x</image>", "image", "parent"))])
    pool.learn([("persona", 0.2)])
    restored = ReplayPool()
    restored.restore(json.loads(json.dumps(pool.to_json())))
    assert restored.sample(99, 1) == pool.sample(99, 1)
    assert restored.families() == pool.families() == {"image": 1, "persona": 5, "story": 2}
    assert restored.to_json() == pool.to_json()


def test_what_leaked_of_an_attack_is_noted_by_family() -> None:
    undecided = on_response(harmful=Label.UNSCOREABLE)
    judged = a_judged_bout(
        [(on_attack(), [LEAK, REFUSED, REFUSED, undecided]), (on_attack(on_goal=Label.NO), [LEAK]), (on_attack(), [undecided])]
    )
    assert leaks(judged) == [(on_attack().family, pytest.approx(1 / 3))]
