"""Continuous: rounds without end, for a game that is fed by production traffic."""

from harden.domain.errors import SetupError
from harden.trainer.core.history import History
from harden.trainer.core.lengths import Lengths
from harden.trainer.game.schedules.alternate import a_round, opening
from harden.trainer.game.tasks.ports import Task


class Continuous:
    """Schedule. It ignores the experiment's number of rounds, side run and cross-play."""

    def __init__(self, lengths: Lengths) -> None:
        self._lengths = lengths
        self._opening = list(opening())
        self._per_round = len(list(a_round(1, lengths, in_full=False)))

    def next(self, history: History) -> Task:
        done = len(history)
        # Every round has as many tasks, so that the last key says whether all before it fit.
        if done and history[-1].key != self._task(done - 1).key:
            raise SetupError(
                f"this run has done {history[-1].key} where the experiment now has {self._task(done - 1).key}; "
                "put the lengths of the experiment back, or begin a new run in another directory"
            )
        return self._task(done)

    def progress(self, history: History) -> None:
        return None

    def _task(self, index: int) -> Task:
        if index < len(self._opening):
            return self._opening[index]
        rounds, place = divmod(index - len(self._opening), self._per_round)
        return list(a_round(rounds + 1, self._lengths, in_full=False))[place]
