import json
from collections import Counter
from dataclasses import replace

from harden.domain.bout import RecordedAttack
from harden.domain.conversation import BlobRef, Conversation, Image, Message, Speaker, Text
from harden.domain.seed import Seed
from harden.trainer.core.replay import ReplayPool
from tests.unit.trainer.judged import a_seed


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


def test_what_is_kept_for_measuring_never_enters() -> None:
    pool = ReplayPool(is_reserved=lambda text: text == "kept")
    assert pool.add([attack("kept"), attack("free")]) == 1


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
    restored = ReplayPool()
    restored.restore(json.loads(json.dumps(pool.to_json())))
    assert restored.sample(99, 1) == pool.sample(99, 1)
    assert restored.families() == pool.families() == {"image": 1, "persona": 5, "story": 2}
    assert restored.to_json() == pool.to_json()
