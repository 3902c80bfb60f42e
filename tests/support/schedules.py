"""A game played on paper: the tasks that a schedule leads to, and what might come of each."""

from collections.abc import Callable

from harden.trainer.core.history import Finished, Outcome
from harden.trainer.game.schedules.ports import Schedule
from harden.trainer.game.tasks.ports import Task

# A game without end has more.
MOST = 150


def played(schedule: Schedule, outcome_of: Callable[[Task], Outcome] = lambda task: {}, most: int = MOST) -> list[Task]:
    """To the end of the game, or the first `most` tasks."""
    history: list[Finished] = []
    tasks: list[Task] = []
    while len(tasks) < most and (task := schedule.next(history)) is not None:
        tasks.append(task)
        history.append(Finished(task.key, outcome_of(task)))
    return tasks
