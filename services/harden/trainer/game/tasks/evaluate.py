"""Evaluate: both policies on the world's suites."""

from dataclasses import dataclass

from harden.domain.bout import Role
from harden.trainer.core import results
from harden.trainer.core.history import About, Outcome
from harden.trainer.game.context import GameContext


@dataclass(frozen=True, slots=True)
class Evaluate:
    """`in_full`: on as many rows as the first and the last round; the rounds between may use fewer.

    In full, the suites that the experiment names (`evaluation.sampled`) are also answered at temperature 1, one response a row.
    """

    round: int
    in_full: bool

    @property
    def key(self) -> str:
        return f"round-{self.round}/evaluate"

    @property
    def about(self) -> About:
        return About("evaluate", self.round, "evaluating")

    @property
    def cost(self) -> float:
        return 10.0

    def play(self, context: GameContext) -> Outcome:
        began = context.clock()
        suites = context.material.suites if self.in_full else context.material.suites_between
        rates = context.rates(context.batch(self.round, 0, "evaluate"), suites)
        if self.in_full and context.material.sampled_suites:
            # Asked apart, under ids of their own: the greedy figures are the same with them and without.
            batch = context.batch(self.round, 0, "evaluate_t1")
            rates |= results.of_samples(context.rates(batch, context.material.sampled_suites, context.as_drawn()))
        game = context.game
        game.records.evaluation(self.round, rates, context.policies(), context.clock() - began)
        for role in Role:
            game.players[role].by_round[self.round] = context.current(role)
        context.observer.evaluated(self.round, rates)
        return {"round": self.round, "rates": results.to_json(rates)}
