"""The seed as it is."""

from collections.abc import Mapping

from harden.domain.attacking import AttackTools, Draft, TurnPlan
from harden.domain.bout import Parameter, Strategy


class Direct:
    """AttackStrategy. Of several turns each asks the same again."""

    name = Strategy.DIRECT
    parameters: Mapping[str, Parameter] = {}

    def drafts(self, plan: TurnPlan, tools: AttackTools) -> list[Draft]:
        return [Draft(plan.bout.seed.text, family="direct")] * plan.bout.attack_plan.num_attacks
