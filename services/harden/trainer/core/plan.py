"""Which bouts a step, a measurement or an evaluation consists of. The same task plans the same bouts, ids included."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harden.domain import ids
from harden.domain.bout import AttackPlan, AttackSource, Bout, Purpose, RecordedAttack, Role
from harden.domain.completion import Sampling
from harden.domain.game import EvaluationCase
from harden.domain.policy import PolicyRef
from harden.domain.seed import Seed


@dataclass(frozen=True, slots=True)
class Ingredient:
    """A share of a step's bouts: seeds of one category, attacked from one source."""

    name: str
    category: str
    attacks: AttackSource
    share: float


@dataclass(frozen=True, slots=True)
class StepShape:
    """What one step of a role is made of."""

    role: Role
    bouts: int
    num_attacks: int
    num_responses: int
    mix: tuple[Ingredient, ...]
    attack_sampling: Sampling
    response_sampling: Sampling


@dataclass(frozen=True, slots=True)
class Moment:
    """Where in the game bouts are planned. `name` makes their ids differ from those of every other task."""

    run_id: str
    round: int
    step: int
    name: str
    policies: Mapping[Role, PolicyRef]

    def bout_id(self, index: int | str) -> str:
        return ids.child(ids.root(self.run_id, self.round, self.name, self.step), "bout", index)

    def rng(self, of: str) -> random.Random:
        return random.Random(ids.random_seed(self.bout_id(of)))


@dataclass(frozen=True, slots=True)
class Suite:
    """An evaluation set and what its answers show."""

    name: str
    cases: Sequence[EvaluationCase]
    measures: Sequence[str]


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


def training_bouts(
    moment: Moment, shape: StepShape, seeds: Mapping[str, Sequence[Seed]], replayed: Sequence[Replayed]
) -> list[Bout]:
    """The bouts of one step. Where `replayed` has too few attacks for the share that asks for them, the policy writes the rest.

    `seeds` by category. Raises ValueError naming a category that has none.
    """
    counts = apportion(shape.bouts, [ingredient.share for ingredient in shape.mix])
    replay = iter(replayed)
    bouts: list[Bout] = []
    for ingredient, count in zip(shape.mix, counts, strict=True):
        old = [attack for _, attack in zip(range(count), replay, strict=False)] if _is_replay(ingredient) else []
        for attack in old:
            plan = AttackPlan(AttackSource.RECORDED, 1, recorded=(attack.attack,))
            bouts.append(_bout(moment, shape, len(bouts), ingredient.name, attack.seed, plan))
        for seed in draw(seeds, ingredient.category, count - len(old), moment.rng(ingredient.name)):
            bouts.append(_bout(moment, shape, len(bouts), ingredient.name, seed, _plan(shape, ingredient)))
    return bouts


def num_replayed(shape: StepShape) -> int:
    """How many attacks of the pool one step can use."""
    counts = apportion(shape.bouts, [ingredient.share for ingredient in shape.mix])
    return sum(count for count, ingredient in zip(counts, shape.mix, strict=True) if _is_replay(ingredient))


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
    moment: Moment, seeds: Sequence[Seed], num_attacks: int, attack_sampling: Sampling, response_sampling: Sampling
) -> list[Bout]:
    """One bout a seed, each with fresh attacks of the current attacker, answered once."""
    return [
        Bout(
            bout_id=moment.bout_id(i),
            run_id=moment.run_id,
            purpose=Purpose.EVALUATE,
            learner=None,
            round=moment.round,
            step=moment.step,
            suite=moment.name,
            seed=seed,
            attack_plan=AttackPlan(AttackSource.POLICY, num_attacks, sampling=attack_sampling),
            num_responses=1,
            response_sampling=response_sampling,
            attacker=moment.policies[Role.ATTACKER],
            defender=moment.policies[Role.DEFENDER],
        )
        for i, seed in enumerate(seeds)
    ]


def evaluation_bouts(moment: Moment, suites: Sequence[Suite], response_sampling: Sampling) -> list[Bout]:
    """One bout a case, its recorded attacks answered once each. `suite` says which suite a bout counts towards."""
    return [
        Bout(
            bout_id=moment.bout_id(f"{suite.name}/{i}"),
            run_id=moment.run_id,
            purpose=Purpose.EVALUATE,
            learner=None,
            round=moment.round,
            step=moment.step,
            suite=suite.name,
            seed=case.seed,
            attack_plan=AttackPlan(AttackSource.RECORDED, len(case.attacks), recorded=case.attacks),
            num_responses=1,
            response_sampling=response_sampling,
            attacker=moment.policies[Role.ATTACKER],
            defender=moment.policies[Role.DEFENDER],
        )
        for suite in suites
        for i, case in enumerate(suite.cases)
    ]


def _is_replay(ingredient: Ingredient) -> bool:
    return ingredient.attacks is AttackSource.RECORDED


def _plan(shape: StepShape, ingredient: Ingredient) -> AttackPlan:
    if ingredient.attacks in (AttackSource.POLICY, AttackSource.RECORDED):
        return AttackPlan(AttackSource.POLICY, shape.num_attacks, sampling=shape.attack_sampling)
    return AttackPlan(ingredient.attacks, shape.num_attacks)


def _bout(moment: Moment, shape: StepShape, index: int, suite: str, seed: Seed, plan: AttackPlan) -> Bout:
    return Bout(
        bout_id=moment.bout_id(index),
        run_id=moment.run_id,
        purpose=Purpose.TRAIN,
        learner=shape.role,
        round=moment.round,
        step=moment.step,
        suite=suite,
        seed=seed,
        attack_plan=plan,
        num_responses=shape.num_responses,
        response_sampling=shape.response_sampling,
        attacker=moment.policies[Role.ATTACKER],
        defender=moment.policies[Role.DEFENDER],
    )
