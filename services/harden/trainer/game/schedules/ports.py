"""What a schedule is."""

from collections.abc import Generator
from typing import Any, Protocol

from harden.domain.errors import SetupError
from harden.trainer.core.history import Finished, History, Outcome
from harden.trainer.core.lengths import Lengths
from harden.trainer.game.tasks.learn import Learn
from harden.trainer.game.tasks.ports import Task
from harden.trainer.game.tasks.publish import IN_PHASE, Publish

# The tasks of a game in order; each `yield` gives the outcome of its task.
Tasks = Generator[Task, Outcome, Any]


class Schedule(Protocol):
    """A plug-in of the group `harden.schedules`, made with the experiment's lengths. It keeps no state: it decides by the
    history alone, and the same history always has the same next task.
    """

    def __init__(self, lengths: Lengths) -> None: ...

    def next(self, history: History) -> Task | None:
        """The next task after the finished ones; None where the game is over.

        Raises SetupError where it could never have led to this history. It may be asked ahead of time, with tasks whose
        outcome is not known yet (an empty one): one that needs it answers None.
        """
        ...

    def progress(self, history: History) -> float | None:
        """Estimated share of the game that is done, from 0 to 1; None where a game has no end."""
        ...


def steps_ahead(schedule: Schedule, history: History, step: Learn, in_flight: int) -> list[Learn]:
    """`step` and up to `in_flight` more of the same phase: what may be on the ring while it learns."""
    ahead = [step]
    imagined = [*history, Finished(step.key)]
    while len(ahead) <= in_flight:
        task = schedule.next(imagined)
        if isinstance(task, Learn) and (task.name, task.round, task.attempt) == (step.name, step.round, step.attempt):
            ahead.append(task)
        elif not (isinstance(task, Publish) and task.reason == IN_PHASE):
            break
        imagined.append(Finished(task.key))
    return ahead


def follow(tasks: Tasks, history: History) -> tuple[Task | None, float]:
    """The task after the history, None at the end, and the cost of the tasks that are done.

    `tasks` is sent the outcome of each task. SetupError where the finished tasks are not the first ones of it.
    """
    task = next(tasks, None)
    done = 0.0
    for finished in history:
        if task is None:
            raise SetupError(
                f"this run has done {finished.key}, behind the end of the game that the experiment now describes; "
                "put its lengths back, or begin a new run in another directory"
            )
        if finished.key != task.key:
            raise SetupError(
                f"this run has done {finished.key} where the experiment now has {task.key}; "
                "put the lengths of the experiment back, or begin a new run in another directory. "
                "Rounds can be added until the last one is over and what follows it begins"
            )
        done += task.cost
        task = _sent(tasks, finished.outcome)
    return task, done


def cost_left(tasks: Tasks, task: Task | None) -> float:
    """The cost of `task`, which `follow` found, and of all that follow it; their outcomes are not known."""
    left = 0.0
    while task is not None:
        left += task.cost
        task = _sent(tasks, {})
    return left


def _sent(tasks: Tasks, outcome: Outcome) -> Task | None:
    try:
        return tasks.send(outcome)
    except StopIteration:
        return None
