"""Learn: one batch of bouts and one update."""

from collections.abc import Sequence
from dataclasses import dataclass

from harden.domain.bout import Role
from harden.trainer.algorithms.ports import BoutRequest, StepContext
from harden.trainer.core import results
from harden.trainer.core.history import About, Outcome, StepKey
from harden.trainer.core.ledger import End
from harden.trainer.game.context import GameContext

ATTACKER_STEP_COST = 2.5


@dataclass(frozen=True, slots=True)
class Learn:
    """`of` steps make a phase. `recipe` names the algorithm that it follows: the role's, or that of a side run. `attempt`: how
    often the phase was rejected before, each time with a lower learning rate."""

    role: Role
    round: int
    step: int
    of: int
    recipe: str = ""
    attempt: int = 0

    @property
    def name(self) -> str:
        return self.recipe or self.role.value

    @property
    def key(self) -> str:
        return f"round-{self.round}/{phase_name(self.name, self.attempt)}/step-{self.step}"

    @property
    def about(self) -> About:
        return About(self.name, self.round, "", self.step + 1, self.of)

    @property
    def cost(self) -> float:
        return ATTACKER_STEP_COST if self.role is Role.ATTACKER else 1.0

    def play(self, context: GameContext) -> Outcome:
        """Takes the judged bouts of the step, trains on them, and records the final state of every bout."""
        schedule([self], context)
        game = context.game
        judged = context.take(game.scheduled.pop(self.key))
        player = game.players[self.name]
        step = StepContext(game.run_id, self.round, self.step, context.material.seeds_for(self.name), player.lag_of)
        learned = context.algorithms[self.name].terms(judged, step)
        report = player.step(learned.terms, context.experiment.monitor.retry_rate**self.attempt)
        if report.skipped and not report.moved:
            learned = learned.without(judged, report.skipped)
        for bout in judged:
            reason = learned.dropped.get(bout.bout.bout_id)
            game.ledger.end(bout.bout.bout_id, End.DROPPED if reason else End.TRAINED, reason or "")
        if not self.recipe:  # what a side game finds is not replayed in the game
            game.pool.add(results.successes(judged))
        # Steps of a phase that is tried again are counted on.
        key = StepKey(self.role, self.round, self.attempt * self.of + self.step, self.name)
        context.observer.learned(key, report, learned, judged, game)
        return {
            "round": self.round,
            "role": self.role.value,
            "recipe": self.name,
            "attempt": self.attempt,
            "zero_variance_share": report.figure("zero_variance_share"),
        }


def phase_name(player: str, attempt: int) -> str:
    """A phase that is tried again has bouts and a place in the history of its own."""
    return f"{player}-retry-{attempt}" if attempt else player


def schedule(steps: Sequence[Learn], context: GameContext) -> None:
    """Puts the bouts of these steps on the ring, those excepted that are there already."""
    game = context.game
    for step in steps:
        if step.key in game.scheduled:
            continue
        name = phase_name(step.name, step.attempt)
        batch = context.batch(step.round, step.step, name, context.policies(step.name))
        request = BoutRequest(batch, context.material.seeds_for(step.name), game.pool.sample)
        bouts = context.algorithms[step.name].bouts(request)
        bout_ids = [bout.bout_id for bout in bouts]
        game.ledger.schedule(bout_ids, step.round)
        context.ring.schedule(bouts)
        context.observer.scheduled(bouts)
        game.scheduled[step.key] = bout_ids
