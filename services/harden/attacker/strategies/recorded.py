"""Attacks that the bout carries: a replay, an evaluation suite, an imported corpus."""

from collections.abc import Mapping

from harden.domain.attacking import AttackTools, Draft, TurnPlan
from harden.domain.bout import Parameter, Strategy


class Recorded:
    """AttackStrategy. Of several turns each plays the same attacks again."""

    name = Strategy.RECORDED
    parameters: Mapping[str, Parameter] = {}

    def drafts(self, plan: TurnPlan, tools: AttackTools) -> list[Draft]:
        return [Draft.of_recorded(attack) for attack in plan.bout.attack_plan.recorded]
