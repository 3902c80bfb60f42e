"""Attack strategy: the seed, asked kindly; more kindly in each later turn."""

from collections.abc import Mapping

from harden.domain.attacking import AttackTools, Draft, TurnPlan
from harden.domain.bout import Parameter


class Politely:
    name = "politely"
    parameters: Mapping[str, Parameter] = {"word": "please"}

    def drafts(self, plan: TurnPlan, tools: AttackTools) -> list[Draft]:
        words = " ".join([str(plan.parameters["word"])] * (plan.turn + 1))
        return [Draft(f"{words} {plan.bout.seed.text}")] * plan.bout.attack_plan.num_attacks
