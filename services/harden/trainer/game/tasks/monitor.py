"""Monitor: rolls back a round that broke a limit (SecTOW's quality monitor)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harden.domain.bout import Role
from harden.trainer.core import monitor
from harden.trainer.core.history import About, History, Outcome
from harden.trainer.game.context import GameContext
from harden.trainer.game.tasks.evaluate import Evaluate


@dataclass(frozen=True, slots=True)
class Monitor:
    round: int

    @property
    def key(self) -> str:
        return f"round-{self.round}/monitor"

    @property
    def about(self) -> About:
        return About("evaluate", self.round, "checking the round")

    @property
    def cost(self) -> float:
        return 0.5

    def play(self, context: GameContext) -> Outcome:
        game = context.game
        evidence = evidence_of(game.history, self.round)
        breaches = monitor.breaches(evidence, context.experiment.monitor.limits(), context.material.guarded_suite)
        if breaches:
            game.players[Role.DEFENDER].by_round[self.round] = context.roll_back()
            game.records.rolled_back(self.round, [str(breach) for breach in breaches], game.good_round)
        else:
            game.good_round = self.round
            game.remember_defender("good", f"round-{self.round}")
        context.observer.judged(self.round, breaches)
        context.close_round(self.round)
        return {"round": self.round, "rolled_back": bool(breaches), "breaches": [str(breach) for breach in breaches]}


def evidence_of(history: History, round_: int) -> monitor.Evidence:
    """What the round's evaluation and the defender's steps in it came to."""
    evaluated = Evaluate(round_, in_full=True).key
    rates: Mapping[str, Any] = next((done.outcome["rates"] for done in history if done.key == evaluated), {})
    steps = [done.outcome for done in history if "zero_variance_share" in done.outcome]
    role = Role.DEFENDER.value
    shares = [step["zero_variance_share"] for step in steps if (step["round"], step["recipe"]) == (round_, role)]
    return monitor.Evidence(rates, shares)
