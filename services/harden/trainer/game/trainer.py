"""The trainer's loop: ask the schedule for the next task of the game, do it, save everything, go on."""

from collections.abc import Callable

from harden.trainer.core.history import Finished
from harden.trainer.game.checkpoint import Checkpoints
from harden.trainer.game.context import GameContext
from harden.trainer.game.schedules.ports import Schedule, steps_ahead
from harden.trainer.game.tasks import learn
from harden.trainer.game.tasks.learn import Learn
from harden.trainer.game.tasks.ports import Task


class Trainer:
    """`log_bytes` is asked before every checkpoint, which keeps the answer; see Surroundings."""

    def __init__(
        self,
        schedule: Schedule,
        context: GameContext,
        checkpoints: Checkpoints,
        log_bytes: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._schedule = schedule
        self.context = context
        self._checkpoints = checkpoints
        self._log_bytes = log_bytes

    @property
    def next_task(self) -> Task | None:
        """None at the end of the game."""
        return self._schedule.next(self.context.game.history)

    def run(self, until: Callable[[Task], bool] = lambda task: False) -> None:
        """Plays what is left of the game, or what is left before the first task for which `until` is true.

        Raises Stopped where the process is asked to end; nothing done is lost by it.
        """
        game, clock = self.context.game, self.context.clock
        while (task := self.next_task) is not None and not until(task):
            began = clock()
            self.context.observer.begins(task.about, self._schedule.progress(game.history), game)
            if isinstance(task, Learn):
                self.schedule_ahead(task)
            game.history.append(Finished(task.key, task.play(self.context)))
            game.play_seconds += clock() - began
            game.swaps = self.context.publisher.swaps
            game.save(self._checkpoints, self.context.ring.offsets(), log_bytes=self._log_bytes())

    def close(self) -> None:
        """Gives the clients of the bus back."""
        self.context.ring.close()
        self.context.publisher.close()

    def schedule_ahead(self, step: Learn) -> None:
        """Puts the bouts of the step, and of those that may be in flight beside it, on the ring."""
        in_flight = self.context.experiment.schedule.in_flight_steps
        learn.schedule(steps_ahead(self._schedule, self.context.game.history, step, in_flight), self.context)
