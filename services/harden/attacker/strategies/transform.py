"""Known transforms of the world, applied to the seed."""

from collections.abc import Mapping

from harden.domain.attacking import AttackTools, Draft, TurnPlan
from harden.domain.bout import Parameter, Strategy


class Transform:
    """AttackStrategy. Each turn draws its own transforms."""

    name = Strategy.TRANSFORM
    parameters: Mapping[str, Parameter] = {}

    def drafts(self, plan: TurnPlan, tools: AttackTools) -> list[Draft]:
        seeds = [tools.random_seed(i) for i in range(plan.bout.attack_plan.num_attacks)]
        return [Draft.of_recorded(tools.transform(seed)) for seed in seeds]
