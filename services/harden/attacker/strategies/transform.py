"""Known transforms of the world, applied to the seed."""

from collections.abc import Mapping

from harden.domain.attacking import AttackTools, Draft, TurnPlan
from harden.domain.bout import Parameter, Strategy
from harden.domain.errors import PoisonError


class Transform:
    """AttackStrategy. Each turn draws its own transforms, of `max_families` families alone where that is not 0."""

    name = Strategy.TRANSFORM
    parameters: Mapping[str, Parameter] = {"max_families": 0}

    def drafts(self, plan: TurnPlan, tools: AttackTools) -> list[Draft]:
        max_families = plan.parameters["max_families"]
        # A number is a float after its way over the wire.
        if not isinstance(max_families, int | float) or max_families < 0 or max_families != int(max_families):
            raise PoisonError("bad_parameter", f"max_families is 0 (all of them) or a number of families, not {max_families!r}")
        seeds = [tools.random_seed(i) for i in range(plan.bout.attack_plan.num_attacks)]
        return [Draft.of_recorded(tools.transform(seed, int(max_families))) for seed in seeds]
