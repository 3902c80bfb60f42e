"""Algorithms with the equipment of a test, and where in a game they are asked."""

from collections.abc import Callable
from typing import Any

from harden.domain.bout import Role
from harden.domain.completion import Sampling
from harden.domain.policy import Slot
from harden.domain.seed import SeedLabel
from harden.store.object_store import ObjectStore
from harden.trainer.algorithms.ports import BoutRequest, Equipment, StepContext
from harden.trainer.core.plan import BatchKey, Replayed
from harden.worlds.arena.bundle import Arena
from tests.support.builders import a_policy, a_seed

SEEDS = {
    "harmful": [a_seed(f"harmful {i}") for i in range(5)],
    "ordinary": [a_seed(f"ordinary {i}", SeedLabel.BENIGN, "ordinary") for i in range(4)],
}
MIX = [
    {"name": "live", "category": "harmful", "attacks": "policy", "share": 0.25},
    {"name": "replay", "category": "harmful", "attacks": "recorded", "share": 0.25},
    {"name": "ordinary", "category": "ordinary", "attacks": "transform", "share": 0.5},
]
PLAY: dict[str, Any] = {"bouts_per_step": 8, "num_attacks": 1, "num_responses": 4, "mix": MIX}


def made(
    kind: Any,
    role: Role = Role.DEFENDER,
    *,
    max_version_lag: int = 8,
    is_reserved: Callable[[str], bool] = lambda _: False,
    **settings: Any,
) -> Any:
    equipment = Equipment(
        role=role,
        attack_sampling=Sampling(16),
        response_sampling=Sampling(8, 0.9),
        max_version_lag=max_version_lag,
        anchors=Arena().anchors,
        images=Arena().images,
        store=ObjectStore("memory://"),
        is_reserved=is_reserved,
    )
    return kind(kind.Settings.model_validate({**PLAY, **settings}), equipment)


def a_request(step: int = 0, pool: tuple[Replayed, ...] = ()) -> BoutRequest:
    policies = {Role.ATTACKER: a_policy(Slot.ATTACKER), Role.DEFENDER: a_policy(Slot.DEFENDER)}
    return BoutRequest(BatchKey("r" * 32, 1, step, "defender", policies), SEEDS, lambda count, _: pool[:count])


def a_context(step: int = 0, lag_of: Callable[[str], int | None] = lambda _: 0, **seeds: Any) -> StepContext:
    return StepContext("r" * 32, 1, step, {**SEEDS, **seeds}, lag_of)
