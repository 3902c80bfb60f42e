import pytest
from hypothesis import given
from hypothesis import strategies as st

from harden.domain.bout import AttackSource, RecordedAttack, Role
from harden.domain.completion import Sampling
from harden.domain.policy import Slot
from harden.domain.seed import SeedLabel
from harden.trainer.core import plan
from harden.trainer.core.plan import Ingredient, Moment, Replayed, StepShape
from tests.support.builders import a_policy, a_seed

SEEDS = {
    "harmful": [a_seed(f"harmful {i}") for i in range(5)],
    "ordinary": [a_seed(f"ordinary {i}", SeedLabel.BENIGN, "ordinary") for i in range(4)],
}
SHAPE = StepShape(
    Role.DEFENDER,
    bouts=8,
    num_attacks=1,
    num_responses=4,
    mix=(
        Ingredient("live", "harmful", AttackSource.POLICY, 0.25),
        Ingredient("replay", "harmful", AttackSource.RECORDED, 0.25),
        Ingredient("ordinary", "ordinary", AttackSource.TRANSFORM, 0.5),
    ),
    attack_sampling=Sampling(16),
    response_sampling=Sampling(8),
)


def a_moment(step: int = 0) -> Moment:
    policies = {Role.ATTACKER: a_policy(Slot.ATTACKER), Role.DEFENDER: a_policy(Slot.DEFENDER)}
    return Moment("r" * 32, 1, step, "defender", policies)


def old_attacks(n: int) -> list[Replayed]:
    return [Replayed(SEEDS["harmful"][0], RecordedAttack(f"old {i}", "none/plain")) for i in range(n)]


@given(st.integers(0, 200), st.lists(st.floats(0.01, 10), min_size=1, max_size=8))
def test_parts_sum_to_the_whole_and_stay_within_one_of_their_share(total: int, shares: list[float]) -> None:
    parts = plan.apportion(total, shares)
    assert sum(parts) == total
    assert all(abs(part - total * share / sum(shares)) < 1 + 1e-9 for part, share in zip(parts, shares, strict=True))


def test_the_same_step_plans_the_same_bouts() -> None:
    assert plan.training_bouts(a_moment(), SHAPE, SEEDS, old_attacks(2)) == plan.training_bouts(
        a_moment(), SHAPE, SEEDS, old_attacks(2)
    )


def test_two_steps_share_no_bout_id() -> None:
    first = plan.training_bouts(a_moment(0), SHAPE, SEEDS, [])
    second = plan.training_bouts(a_moment(1), SHAPE, SEEDS, [])
    assert not {b.bout_id for b in first} & {b.bout_id for b in second}


def test_the_mix_is_kept() -> None:
    bouts = plan.training_bouts(a_moment(), SHAPE, SEEDS, old_attacks(2))
    assert [b.suite for b in bouts] == ["live"] * 2 + ["replay"] * 2 + ["ordinary"] * 4


def test_the_policy_attacks_where_the_pool_is_short() -> None:
    bouts = plan.training_bouts(a_moment(), SHAPE, SEEDS, old_attacks(1))
    replay = [b.attack_plan.source for b in bouts if b.suite == "replay"]
    assert replay == [AttackSource.RECORDED, AttackSource.POLICY]


def test_a_category_without_seeds_is_named() -> None:
    with pytest.raises(ValueError, match=r"'ordinary'.*submit some"):
        plan.training_bouts(a_moment(), SHAPE, {"harmful": SEEDS["harmful"]}, [])


@given(st.integers(0, 40))
def test_seeds_are_drawn_evenly(count: int) -> None:
    drawn = plan.draw(SEEDS, "harmful", count, a_moment().rng("x"))
    times = [drawn.count(seed) for seed in SEEDS["harmful"]]
    assert len(drawn) == count
    assert max(times) - min(times) <= 1
