"""What a schedule is."""

from typing import Protocol

from harden.domain.errors import SetupError
from harden.trainer.core.history import Finished, History
from harden.trainer.core.lengths import Lengths
from harden.trainer.game.tasks.learn import Learn
from harden.trainer.game.tasks.ports import Task
from harden.trainer.game.tasks.publish import IN_PHASE, Publish


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
        if isinstance(task, Learn) and (task.name, task.round) == (step.name, step.round):
            ahead.append(task)
        elif not (isinstance(task, Publish) and task.reason == IN_PHASE):
            break
        imagined.append(Finished(task.key))
    return ahead


def refuse_unfit(history: History, expected: list[str]) -> None:
    """SetupError where the finished tasks are not the first ones of `expected`."""
    for done, wanted in zip(history, expected, strict=False):
        if done.key != wanted:
            raise SetupError(
                f"this run has done {done.key} where the experiment now has {wanted}; "
                "put the lengths of the experiment back, or begin a new run in another directory. "
                "Rounds can be added until the last one is over and what follows it begins"
            )
    if len(history) > len(expected):
        raise SetupError(
            f"this run has done {history[len(expected)].key}, behind the end of the game that the experiment now describes; "
            "put its lengths back, or begin a new run in another directory"
        )
