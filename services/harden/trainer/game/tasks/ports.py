"""What a task is."""

from typing import Protocol

from harden.trainer.core.history import About, Outcome
from harden.trainer.game.context import GameContext


class Task(Protocol):
    """A frozen dataclass: two with the same fields do the same."""

    @property
    def key(self) -> str:
        """Names it in checkpoints, as in `round-2/defender/step-3`: no other task of a game has it."""
        ...

    @property
    def about(self) -> About: ...

    @property
    def cost(self) -> float:
        """Approximate cost relative to one step of the defender, for estimates of progress."""
        ...

    def play(self, context: GameContext) -> Outcome:
        """Does it. A process that dies in the middle does it again from the checkpoint before it.

        Raises Stopped where the process is asked to end.
        """
        ...
