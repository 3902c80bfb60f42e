"""Schedule: the players learn in turns, and the game ends early where the monitor rejects something."""

from harden.trainer.core.history import History
from harden.trainer.core.lengths import Lengths
from harden.trainer.game.schedules.alternate import Alternate
from harden.trainer.game.tasks.ports import Task


class UntilRollback:
    def __init__(self, lengths: Lengths) -> None:
        self._alternate = Alternate(lengths)

    def next(self, history: History) -> Task | None:
        task = self._alternate.next(history)  # refuses a history that it does not lead to
        return None if history and history[-1].outcome.get("rejected") else task

    def progress(self, history: History) -> float:
        return self._alternate.progress(history)
