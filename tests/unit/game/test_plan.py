from hypothesis import given
from hypothesis import strategies as st

from harden.domain.bout import Role
from harden.domain.policy import Slot
from harden.domain.seed import SeedLabel
from harden.trainer.core import plan
from harden.trainer.core.plan import BatchKey
from tests.support.builders import a_policy, a_seed

SEEDS = {
    "harmful": [a_seed(f"harmful {i}") for i in range(5)],
    "ordinary": [a_seed(f"ordinary {i}", SeedLabel.BENIGN, "ordinary") for i in range(4)],
}


def a_batch(step: int = 0) -> BatchKey:
    policies = {Role.ATTACKER: a_policy(Slot.ATTACKER), Role.DEFENDER: a_policy(Slot.DEFENDER)}
    return BatchKey("r" * 32, 1, step, "defender", policies)


@given(st.integers(0, 200), st.lists(st.floats(0.01, 10), min_size=1, max_size=8))
def test_parts_sum_to_the_whole_and_stay_within_one_of_their_share(total: int, shares: list[float]) -> None:
    parts = plan.apportion(total, shares)
    assert sum(parts) == total
    assert all(abs(part - total * share / sum(shares)) < 1 + 1e-9 for part, share in zip(parts, shares, strict=True))


@given(st.integers(0, 40))
def test_seeds_are_drawn_evenly(count: int) -> None:
    drawn = plan.draw(SEEDS, "harmful", count, a_batch().rng("x"))
    times = [drawn.count(seed) for seed in SEEDS["harmful"]]
    assert len(drawn) == count
    assert max(times) - min(times) <= 1
