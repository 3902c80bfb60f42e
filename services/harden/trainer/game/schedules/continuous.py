"""Continuous: rounds without end, for a game that is fed by production traffic."""

from itertools import count

from harden.trainer.core.history import History
from harden.trainer.core.lengths import Lengths
from harden.trainer.game.schedules.alternate import a_round, opening
from harden.trainer.game.schedules.ports import Tasks, follow
from harden.trainer.game.tasks.ports import Task


class Continuous:
    """Schedule. The number of rounds, the side run and the cross-play of the experiment mean nothing to it. A round whose
    every attempt was rejected is followed by the next one."""

    def __init__(self, lengths: Lengths) -> None:
        self._lengths = lengths

    def next(self, history: History) -> Task | None:
        return follow(_tasks(self._lengths), history)[0]

    def progress(self, history: History) -> None:
        return None


def _tasks(lengths: Lengths) -> Tasks:
    yield from opening()
    for round_ in count(1):
        yield from a_round(round_, lengths, in_full=False)
