"""Alternate: the players learn in turns, the defender first.

start: publish both, evaluate
round: measure the attacker, defender steps, monitor, measure again, attacker steps, evaluate
end:   measure what the last attacker can do, a best response to the last defender, the monitor's side run, cross-play

A phase of the defender that the monitor rejects is rolled back and tried again, at a lower learning rate. Where every attempt
is rejected, the round is the last one.
"""

from collections.abc import Generator

from harden.domain.bout import Role
from harden.trainer.core.history import History, Outcome
from harden.trainer.core.lengths import Lengths
from harden.trainer.game.context import BEST_RESPONSE, SIDE_RUN
from harden.trainer.game.schedules.ports import Tasks, cost_left, follow
from harden.trainer.game.tasks.best_response import EndBestResponse, StartBestResponse
from harden.trainer.game.tasks.close_round import CloseRound
from harden.trainer.game.tasks.cross_play import CrossPlay
from harden.trainer.game.tasks.evaluate import Evaluate
from harden.trainer.game.tasks.learn import Learn
from harden.trainer.game.tasks.measure import AFTER, BEFORE, MeasureAttacker
from harden.trainer.game.tasks.monitor import REJECTED, Monitor
from harden.trainer.game.tasks.ports import Task
from harden.trainer.game.tasks.publish import IN_PHASE, PHASE_END, START, Publish
from harden.trainer.game.tasks.side_run import EndSideRun, StartSideRun


class Alternate:
    """Schedule."""

    def __init__(self, lengths: Lengths) -> None:
        self._lengths = lengths

    def next(self, history: History) -> Task | None:
        return follow(_tasks(self._lengths), history)[0]

    def progress(self, history: History) -> float:
        """As if the monitor rejected nothing more."""
        tasks = _tasks(self._lengths)
        task, done = follow(tasks, history)
        return done / (done + cost_left(tasks, task))


def _tasks(lengths: Lengths) -> Tasks:
    yield from opening()
    round_ = 0
    while round_ < lengths.rounds:
        round_ += 1
        is_accepted = yield from a_round(round_, lengths, in_full=round_ == lengths.rounds)
        if not is_accepted:
            break
    beyond = round_ + 1
    if lengths.cross_play:
        yield MeasureAttacker(beyond, BEFORE)
    if lengths.best_response_steps:
        yield StartBestResponse(beyond)
        yield from phase(Role.ATTACKER, beyond, lengths.best_response_steps, lengths.publish_every, BEST_RESPONSE)
        yield EndBestResponse(beyond, lengths.best_response_steps)
    if lengths.side_run_steps:
        yield StartSideRun(beyond)
        yield from phase(Role.DEFENDER, beyond, lengths.side_run_steps, lengths.publish_every, SIDE_RUN)
        yield EndSideRun(beyond, lengths.side_run_steps)
    if lengths.cross_play:
        yield CrossPlay(beyond)


def opening() -> Tasks:
    """Publishes both players and evaluates them before any hardening."""
    yield Publish(Role.ATTACKER, 0, START, wait=True)
    yield Publish(Role.DEFENDER, 0, START, wait=True)
    yield Evaluate(0, in_full=True)


def a_round(round_: int, lengths: Lengths, *, in_full: bool) -> Generator[Task, Outcome, bool]:
    """Returns whether the monitor accepted what the defender learned. Where it did not the evaluation is in full, because the
    game may end with the round."""
    # The attacker's success before the defence: against the defender of the round before, which still answers.
    yield MeasureAttacker(round_, BEFORE)
    is_accepted = False
    for attempt in range(lengths.retries + 1):
        yield from phase(Role.DEFENDER, round_, lengths.defender_steps, lengths.publish_every, attempt=attempt)
        outcome = yield Monitor(round_, attempt)
        # Of a decision that is still to come the schedule expects that it accepts.
        is_accepted = not outcome.get(REJECTED, False)
        if is_accepted:
            break
    yield MeasureAttacker(round_, AFTER)
    if is_accepted:
        yield from phase(Role.ATTACKER, round_, lengths.attacker_steps, lengths.publish_every)
    yield Evaluate(round_, in_full or not is_accepted)
    yield CloseRound(round_)
    return is_accepted


def phase(role: Role, round_: int, steps: int, publish_every: int, recipe: str = "", attempt: int = 0) -> Tasks:
    """Steps with publications between them, and one that is waited for at the end."""
    for step in range(steps):
        yield Learn(role, round_, step, steps, recipe, attempt)
        done = step + 1
        if done < steps and done % publish_every == 0:
            yield Publish(role, round_, IN_PHASE, wait=False, step=done, recipe=recipe, attempt=attempt)
    if steps:
        yield Publish(role, round_, PHASE_END, wait=True, step=steps, recipe=recipe, attempt=attempt)
