"""Continuous: rounds without end, for a game that is fed by production traffic."""

from collections.abc import Iterator
from itertools import count, islice

from harden.trainer.core.history import History
from harden.trainer.core.lengths import Lengths
from harden.trainer.game.schedules.alternate import a_round, opening
from harden.trainer.game.schedules.ports import refuse_unfit
from harden.trainer.game.tasks.ports import Task


class Continuous:
    """Schedule. It ignores the experiment's number of rounds, side run and cross-play."""

    def __init__(self, lengths: Lengths) -> None:
        self._lengths = lengths

    def next(self, history: History) -> Task:
        tasks = self._tasks()
        refuse_unfit(history, [task.key for task in islice(tasks, len(history))])
        return next(tasks)

    def progress(self, history: History) -> None:
        return None

    def _tasks(self) -> Iterator[Task]:
        yield from opening()
        for round_ in count(1):
            yield from a_round(round_, self._lengths, in_full=False)
