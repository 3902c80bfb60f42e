"""The monitor's side run: an ablation that trains the first defender with other settings, which the monitor should reject."""

from dataclasses import dataclass

from harden.domain.bout import Role
from harden.trainer.core import monitor, results
from harden.trainer.core.history import About, Outcome
from harden.trainer.game.context import SIDE_RUN, GameContext

_MESSAGE = "an ablation that the quality monitor should reject"


@dataclass(frozen=True, slots=True)
class StartSideRun:
    """A player of its own begins as the first defender."""

    round: int

    @property
    def key(self) -> str:
        return f"round-{self.round}/{SIDE_RUN}/start"

    @property
    def about(self) -> About:
        return About(SIDE_RUN, self.round, _MESSAGE)

    @property
    def cost(self) -> float:
        return 1.0

    def play(self, context: GameContext) -> Outcome:
        game = context.game
        player = game.open_side_game(SIDE_RUN)
        player.load(game.saved["first"].path)
        first = game.players[Role.DEFENDER].by_round[0]
        player.begin_as(context.serve_aside(first, SIDE_RUN))
        return {}


@dataclass(frozen=True, slots=True)
class EndSideRun:
    """Checks the side run's policy against the limits of the monitor. It was served in the slot of side games only."""

    round: int
    steps: int

    @property
    def key(self) -> str:
        return f"round-{self.round}/{SIDE_RUN}/end"

    @property
    def about(self) -> About:
        return About(SIDE_RUN, self.round, _MESSAGE)

    @property
    def cost(self) -> float:
        return 2.0

    def play(self, context: GameContext) -> Outcome:
        material, policies = context.material, context.policies(SIDE_RUN)
        name = material.side_run_suite
        checked = context.rates(context.batch(self.round, 0, "check_side_run", policies), material.monitor_suites)
        # Zero variance is not checked: a side run may train on attacks alone, and then equal groups are expected.
        evidence = monitor.Evidence(results.to_json(checked), ())
        found = monitor.breaches(evidence, context.experiment.monitor.limits(), material.guarded_suite)
        # Reported on other rows than those it was decided by.
        suites = [suite for suite in material.suites if suite.name == name]
        by_measure = results.to_json(context.rates(context.batch(self.round, 0, "evaluate_side_run", policies), suites))
        context.game.close_side_game(SIDE_RUN)
        context.observer.side_run_ended(
            SIDE_RUN,
            {
                "refusal": by_measure["refusal"][name],
                "accuracy": by_measure["accuracy"][name],
                "rolled_back": bool(found),
                "breaches": [str(breach) for breach in found],
                "steps": self.steps,
                "bouts": context.game.ledger.account(self.round).to_json(),
            },
        )
        return {"rolled_back": bool(found), "rates": by_measure}
