"""Which bouts a measurement or an evaluation consists of, how bouts are named and seeds drawn. Repeatable, ids included."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harden.domain import ids
from harden.domain.bout import DEFAULT_PANEL, AttackPlan, Bout, Purpose, RecordedAttack, Role, Strategy
from harden.domain.completion import Sampling
from harden.domain.game import Suite
from harden.domain.policy import PolicyRef
from harden.domain.seed import Seed


@dataclass(frozen=True, slots=True)
class BatchKey:
    """Where in the game bouts are planned. `name` makes their ids differ from those of every other task."""

    run_id: str
    round: int
    step: int
    name: str
    policies: Mapping[Role, PolicyRef]
    panel: str = DEFAULT_PANEL

    def bout_id(self, index: int | str) -> str:
        return ids.child(ids.root(self.run_id, self.round, self.name, self.step), "bout", index)

    def rng(self, of: str) -> random.Random:
        return random.Random(ids.random_seed(self.bout_id(of)))


@dataclass(frozen=True, slots=True)
class Replayed:
    """An attack from the pool and the seed it was written for."""

    seed: Seed
    attack: RecordedAttack


def apportion(total: int, shares: Sequence[float]) -> list[int]:
    """`total` split in proportion to `shares` by largest remainder; the parts sum to `total`."""
    whole = sum(shares)
    exact = [total * share / whole for share in shares]
    parts = [int(x) for x in exact]
    by_remainder = sorted(range(len(shares)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


def draw(seeds: Mapping[str, Sequence[Seed]], category: str, count: int, rng: random.Random) -> list[Seed]:
    """`count` seeds of a category, each as often as any other to within one."""
    if count <= 0:
        return []
    pool = seeds.get(category, ())
    if not pool:
        raise ValueError(
            f"the seed pool has no seed of category {category!r}; it has {sorted(seeds)}: submit some or change the mix"
        )
    rounds, rest = divmod(count, len(pool))
    drawn = list(pool) * rounds + rng.sample(list(pool), rest)
    rng.shuffle(drawn)
    return drawn


def measuring_bouts(
    batch: BatchKey, seeds: Sequence[Seed], num_attacks: int, attack_sampling: Sampling, response_sampling: Sampling
) -> list[Bout]:
    """One bout a seed, each with fresh attacks of the current attacker, answered once."""
    return [
        Bout(
            bout_id=batch.bout_id(i),
            run_id=batch.run_id,
            purpose=Purpose.EVALUATE,
            learners=(),
            round=batch.round,
            step=batch.step,
            suite=batch.name,
            seed=seed,
            attack_plan=AttackPlan(Strategy.POLICY, num_attacks, sampling=attack_sampling),
            num_responses=1,
            response_sampling=response_sampling,
            attacker=batch.policies[Role.ATTACKER],
            defender=batch.policies[Role.DEFENDER],
            panel=batch.panel,
        )
        for i, seed in enumerate(seeds)
    ]


def evaluation_bouts(batch: BatchKey, suites: Sequence[Suite], response_sampling: Sampling) -> list[Bout]:
    """One bout a case, its recorded attacks answered once each. `suite` says which suite a bout counts towards."""
    return [
        Bout(
            bout_id=batch.bout_id(f"{suite.name}/{i}"),
            run_id=batch.run_id,
            purpose=Purpose.EVALUATE,
            learners=(),
            round=batch.round,
            step=batch.step,
            suite=suite.name,
            seed=case.seed,
            attack_plan=AttackPlan(Strategy.RECORDED, len(case.attacks), recorded=case.attacks),
            num_responses=1,
            response_sampling=response_sampling,
            attacker=batch.policies[Role.ATTACKER],
            defender=batch.policies[Role.DEFENDER],
            panel=batch.panel,
        )
        for suite in suites
        for i, case in enumerate(suite.cases)
    ]
