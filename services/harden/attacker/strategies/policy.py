"""Fresh attacks of the attacker policy on the seed."""

from collections.abc import Mapping

from harden.domain.attacking import AttackTools, Draft, TurnPlan
from harden.domain.bout import Parameter, Strategy


class Policy:
    """AttackStrategy. Of several turns each is a fresh try."""

    name = Strategy.POLICY
    parameters: Mapping[str, Parameter] = {}

    def drafts(self, plan: TurnPlan, tools: AttackTools) -> list[Draft]:
        [completions] = tools.ask([plan.bout.seed.conversation], plan.bout.attack_plan.num_attacks)
        return [Draft(completion.text, completion=completion) for completion in completions]
