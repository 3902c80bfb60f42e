"""Monitor: rejects a phase of the defender that broke a limit, and puts the last good one back (SecTOW's quality monitor)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harden.domain.bout import Role
from harden.trainer.core import monitor, results
from harden.trainer.core.history import About, History, Outcome
from harden.trainer.game.context import GameContext

REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Monitor:
    """Follows the defender's phase, before the attacker learns against what came of it. `attempt`: as of the phase.

    It asks rows of its own, that nothing else is decided by or reported on.
    """

    round: int
    attempt: int = 0

    @property
    def key(self) -> str:
        return f"round-{self.round}/monitor" + (f"-{self.attempt}" if self.attempt else "")

    @property
    def about(self) -> About:
        return About("evaluate", self.round, "checking the defender")

    @property
    def cost(self) -> float:
        return 3.0

    def play(self, context: GameContext) -> Outcome:
        game, material = context.game, context.material
        rates = context.rates(context.batch(self.round, self.attempt, "monitor"), material.monitor_suites)
        evidence = monitor.Evidence(results.to_json(rates), zero_variance_of(game.history, self.round, self.attempt))
        breaches = monitor.breaches(evidence, context.experiment.monitor.limits(), material.guarded_suite)
        game.records.checked(self.round, self.attempt, [str(breach) for breach in breaches], rates, context.policies())
        if breaches:
            context.roll_back()
        else:
            game.good_round = self.round
            game.remember_defender("good", f"round-{self.round}-{self.attempt}")
            game.players[Role.DEFENDER].by_round[self.round] = context.current(Role.DEFENDER)
        context.observer.judged(self.round, breaches)
        return {"round": self.round, REJECTED: bool(breaches), "breaches": [str(breach) for breach in breaches]}


def zero_variance_of(history: History, round_: int, attempt: int) -> list[float]:
    """Share of groups without variance in each of the steps of the defender's phase."""
    steps: list[Mapping[str, Any]] = [done.outcome for done in history if "zero_variance_share" in done.outcome]
    wanted = (round_, Role.DEFENDER.value, attempt)
    return [one["zero_variance_share"] for one in steps if (one["round"], one["recipe"], one["attempt"]) == wanted]
