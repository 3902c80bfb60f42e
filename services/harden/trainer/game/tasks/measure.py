"""Measure: how often the current attacker gets through the current defender."""

from dataclasses import dataclass

from harden.trainer.core import plan, results
from harden.trainer.core.history import About, Outcome
from harden.trainer.game.context import GameContext

BEFORE, AFTER = "before", "after"
# Attacks of each round that are kept for cross-play, at least.
CROSS_PLAY_ROWS = 88


@dataclass(frozen=True, slots=True)
class MeasureAttacker:
    """`when`: "before" or "after" the defender's phase of the round.

    In the round behind the last, which is never played, it measures the last attacker.
    """

    round: int
    when: str

    @property
    def key(self) -> str:
        return f"round-{self.round}/measure-{self.when}"

    @property
    def about(self) -> About:
        return About("evaluate", self.round, f"measuring the attacker {self.when} the defence")

    @property
    def cost(self) -> float:
        return 5.0

    def play(self, context: GameContext) -> Outcome:
        experiment, game = context.experiment, context.game
        # The same seeds in every round: rounds are compared on them.
        rng = context.batch(0, 0, "measure").rng("seeds")
        seeds = plan.draw({"attacked": context.material.attacked}, "attacked", experiment.measure.seeds, rng)
        bouts = plan.measuring_bouts(
            context.batch(self.round, 0, f"measure_{self.when}"),
            seeds,
            experiment.measure.attacks_per_seed,
            experiment.sampling.attack.sampling(),
            context.greedy(),
        )
        measured = results.measured(context.ask(bouts), experiment.seed)
        game.pool.add(measured.successes)
        game.records.attacker(self.round, self.when, measured)
        context.observer.measured(self.round, self.when, measured)
        if self.when == BEFORE and context.material.cross_play:
            game.attacks_by_round[self.round - 1] = _apart(context, self.round)
        if (self.round, self.when) == (1, BEFORE):
            # Before any hardening there is one attacker and one defender: before and after are the same.
            game.records.attacker(0, BEFORE, measured)
            game.records.attacker(0, AFTER, measured)
            context.close_round(0)
        return {"round": self.round, "when": self.when, "success": measured.success.to_json()}


def _apart(context: GameContext, round_: int) -> list[list[str]]:
    """Attacks of the current attacker for cross-play: on seeds of their own, and nobody ever learns from them."""
    seeds = context.material.cross_play
    bouts = plan.measuring_bouts(
        context.batch(round_, 0, "cross_play_attacks"),
        seeds,
        -(-CROSS_PLAY_ROWS // len(seeds)),
        context.experiment.sampling.attack.sampling(),
        context.greedy(),
    )
    attacks = results.measured(context.ask(bouts), context.experiment.seed).attacks
    return [[seed.seed_id, attack.text, attack.family] for seed, attack in attacks]
