"""Alternate: the players learn in turns, the defender first.

start: publish both, evaluate
round: measure the attacker, defender steps, measure again, attacker steps, evaluate, monitor
end:   measure the last attacker, the monitor's side run, cross-play
"""

from collections.abc import Iterator

from harden.domain.bout import Role
from harden.trainer.core.history import History
from harden.trainer.core.lengths import Lengths
from harden.trainer.game.context import SIDE_RUN
from harden.trainer.game.schedules.ports import refuse_unfit
from harden.trainer.game.tasks.cross_play import CrossPlay
from harden.trainer.game.tasks.evaluate import Evaluate
from harden.trainer.game.tasks.learn import Learn
from harden.trainer.game.tasks.measure import AFTER, BEFORE, MeasureAttacker
from harden.trainer.game.tasks.monitor import Monitor
from harden.trainer.game.tasks.ports import Task
from harden.trainer.game.tasks.publish import IN_PHASE, PHASE_END, START, Publish
from harden.trainer.game.tasks.side_run import EndSideRun, StartSideRun


class Alternate:
    """Schedule. A fixed game: the next task depends on the number of finished tasks, not on their outcomes."""

    def __init__(self, lengths: Lengths) -> None:
        self._tasks = list(_tasks(lengths))
        self._keys = [task.key for task in self._tasks]

    def next(self, history: History) -> Task | None:
        refuse_unfit(history, self._keys)
        return self._tasks[len(history)] if len(history) < len(self._tasks) else None

    def progress(self, history: History) -> float:
        costs = [task.cost for task in self._tasks]
        return sum(costs[: len(history)]) / sum(costs)


def _tasks(lengths: Lengths) -> Iterator[Task]:
    yield from opening()
    for round_ in range(1, lengths.rounds + 1):
        yield from a_round(round_, lengths, in_full=round_ == lengths.rounds)
    beyond = lengths.rounds + 1
    if lengths.cross_play:
        yield MeasureAttacker(beyond, BEFORE)
    if lengths.side_run_steps:
        yield StartSideRun(beyond)
        yield from phase(Role.DEFENDER, beyond, lengths.side_run_steps, lengths.publish_every, SIDE_RUN)
        yield EndSideRun(beyond, lengths.side_run_steps)
    if lengths.cross_play:
        yield CrossPlay(beyond)


def opening() -> Iterator[Task]:
    """Publishes both players and evaluates them before any hardening."""
    yield Publish(Role.ATTACKER, 0, START, wait=True)
    yield Publish(Role.DEFENDER, 0, START, wait=True)
    yield Evaluate(0, in_full=True)


def a_round(round_: int, lengths: Lengths, *, in_full: bool) -> Iterator[Task]:
    # The attacker's success before the defence: against the defender of the round before, which still answers.
    yield MeasureAttacker(round_, BEFORE)
    yield from phase(Role.DEFENDER, round_, lengths.defender_steps, lengths.publish_every)
    yield MeasureAttacker(round_, AFTER)
    yield from phase(Role.ATTACKER, round_, lengths.attacker_steps, lengths.publish_every)
    yield Evaluate(round_, in_full)
    yield Monitor(round_)


def phase(role: Role, round_: int, steps: int, publish_every: int, recipe: str = "") -> Iterator[Task]:
    """Steps with publications between them, and one that is waited for at the end."""
    for step in range(steps):
        yield Learn(role, round_, step, steps, recipe)
        done = step + 1
        if done < steps and done % publish_every == 0:
            yield Publish(role, round_, IN_PHASE, wait=False, step=done, recipe=recipe)
    if steps:
        yield Publish(role, round_, PHASE_END, wait=True, step=steps, recipe=recipe)
