"""Best response: a fresh attacker trained against the last defender, which stays as it was.

Fixed attacks measure what a defender learned of them. How robust it is shows against an attacker that adapts to it.
"""

from dataclasses import dataclass

from harden.trainer.core import plan, results
from harden.trainer.core.history import About, History, Outcome
from harden.trainer.core.results import Measured
from harden.trainer.game.context import BEST_RESPONSE, GameContext
from harden.trainer.game.tasks.publish import START


@dataclass(frozen=True, slots=True)
class StartBestResponse:
    """A player of its own begins as the first attacker, and is measured."""

    round: int

    @property
    def key(self) -> str:
        return f"round-{self.round}/{BEST_RESPONSE}/start"

    @property
    def about(self) -> About:
        return About(BEST_RESPONSE, self.round, "a fresh attacker against the last defender")

    @property
    def cost(self) -> float:
        return 5.0

    def play(self, context: GameContext) -> Outcome:
        player = context.game.open_side_game(BEST_RESPONSE)
        published = player.publish(context.publisher, round_=self.round, reason=START)
        context.observer.published(published)
        context.wait_until_served(published)
        return {"measured": {name: _to_json(one) for name, one in _measure(context, self.round, START).items()}}


@dataclass(frozen=True, slots=True)
class EndBestResponse:
    """Measures what the attacker came to, and ends the side game."""

    round: int
    steps: int

    @property
    def key(self) -> str:
        return f"round-{self.round}/{BEST_RESPONSE}/end"

    @property
    def about(self) -> About:
        return About(BEST_RESPONSE, self.round, "measuring the attacker that has adapted")

    @property
    def cost(self) -> float:
        return 5.0

    def play(self, context: GameContext) -> Outcome:
        before = _before(context.game.history, StartBestResponse(self.round).key)
        after = {name: _to_json(one) for name, one in _measure(context, self.round, "end").items()}
        context.game.close_side_game(BEST_RESPONSE)
        settings = context.experiment.best_response
        assert settings is not None, "a schedule has this task only where the experiment wants it"
        record = {
            "steps": self.steps,
            "best_of": settings.attacks_per_goal,
            "attacks": {name: {"before": before[name], "after": after[name]} for name in after},
        }
        context.observer.best_response_ended(record)
        return record


def _measure(context: GameContext, round_: int, when: str) -> dict[str, Measured]:
    """Fresh attacks on every set of goals, by set."""
    experiment = context.experiment
    settings = experiment.best_response
    assert settings is not None, "a schedule has these tasks only where the experiment wants them"
    measured = {}
    for name, goals in context.material.goals.items():
        batch = context.batch(round_, 0, f"{BEST_RESPONSE}_{name}_{when}", context.policies(BEST_RESPONSE))
        bouts = plan.measuring_bouts(
            batch, goals, settings.attacks_per_goal, experiment.sampling.attack.sampling(), context.greedy()
        )
        measured[name] = results.measured(context.ask(bouts), experiment.seed)
    return measured


def _to_json(measured: Measured) -> Outcome:
    return {
        "success": measured.success.to_json(),
        "best": measured.best.to_json(),
        "on_goal": measured.strict.to_json(),
        "effective_families": round(measured.effective_families, 3),
    }


def _before(history: History, key: str) -> Outcome:
    measured: Outcome = next(done.outcome["measured"] for done in history if done.key == key)
    return measured
