"""Close a round: its accounts of bouts and swaps, and its record on the log."""

from dataclasses import dataclass

from harden.trainer.core.history import About, Outcome
from harden.trainer.game.context import GameContext


@dataclass(frozen=True, slots=True)
class CloseRound:
    round: int

    @property
    def key(self) -> str:
        return f"round-{self.round}/close"

    @property
    def about(self) -> About:
        return About("evaluate", self.round, "closing the round")

    @property
    def cost(self) -> float:
        return 0.1

    def play(self, context: GameContext) -> Outcome:
        context.close_round(self.round)
        return {}
