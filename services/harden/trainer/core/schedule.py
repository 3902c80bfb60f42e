"""The game as a list of tasks, known before it begins. The position in it is one number, so a restart knows where it was.

start: publish both -> evaluate
round: measure (before) -> defender steps -> measure (after) -> attacker steps -> evaluate -> monitor
end:   measure what the last attacker can do -> monitor arm -> matrix
"""

from collections.abc import Iterator
from dataclasses import dataclass

from harden.domain.bout import Role

ARM = "monitor_arm"


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish the learner's weights and, where `wait`, go on only when every slot's replica serves them."""

    role: Role
    round: int
    reason: str
    wait: bool


@dataclass(frozen=True, slots=True)
class Learn:
    """One batch of bouts and one update. `of` steps make a phase; `arm` marks the arm without benign prompts."""

    role: Role
    round: int
    step: int
    of: int
    arm: bool = False


@dataclass(frozen=True, slots=True)
class MeasureAttacker:
    """How often the current attacker gets through the current defender. `when` is "before" or "after" the defender phase.

    Round `rounds + 1` is never played; what is measured before it is the last attacker.
    """

    round: int
    when: str


@dataclass(frozen=True, slots=True)
class Evaluate:
    round: int


@dataclass(frozen=True, slots=True)
class Monitor:
    round: int


@dataclass(frozen=True, slots=True)
class StartArm:
    """Put the first defender back, for the arm to ruin."""


@dataclass(frozen=True, slots=True)
class EndArm:
    """Let the monitor look at what the arm made, and roll back."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Every round's recorded attacks against every round's defender."""


Task = Publish | Learn | MeasureAttacker | Evaluate | Monitor | StartArm | EndArm | Matrix


@dataclass(frozen=True, slots=True)
class Lengths:
    rounds: int
    defender_steps: int
    attacker_steps: int
    publish_every: int  # steps between publications inside a phase; the end of a phase always publishes
    arm_steps: int  # 0: no arm
    matrix: bool

    def steps(self, role: Role) -> int:
        return self.defender_steps if role is Role.DEFENDER else self.attacker_steps


def tasks(lengths: Lengths) -> tuple[Task, ...]:
    return tuple(_tasks(lengths))


def _tasks(lengths: Lengths) -> Iterator[Task]:
    yield Publish(Role.ATTACKER, 0, "start", wait=True)
    yield Publish(Role.DEFENDER, 0, "start", wait=True)
    yield Evaluate(0)
    for round_ in range(1, lengths.rounds + 1):
        # The attacker's success before the defence: against the defender of the round before, which still answers.
        yield MeasureAttacker(round_, "before")
        yield from _phase(Role.DEFENDER, round_, lengths)
        yield MeasureAttacker(round_, "after")
        yield from _phase(Role.ATTACKER, round_, lengths)
        yield Evaluate(round_)
        yield Monitor(round_)
    beyond = lengths.rounds + 1
    if lengths.matrix:
        yield MeasureAttacker(beyond, "before")
    if lengths.arm_steps:
        yield StartArm()
        yield from _steps(Role.DEFENDER, beyond, lengths.arm_steps, lengths.publish_every, arm=True)
        yield EndArm()
    if lengths.matrix:
        yield Matrix()


def _phase(role: Role, round_: int, lengths: Lengths) -> Iterator[Task]:
    return _steps(role, round_, lengths.steps(role), lengths.publish_every, arm=False)


def _steps(role: Role, round_: int, steps: int, publish_every: int, *, arm: bool) -> Iterator[Task]:
    for step in range(steps):
        yield Learn(role, round_, step, steps, arm)
        if step + 1 < steps and (step + 1) % publish_every == 0:
            yield Publish(role, round_, "step", wait=False)
    if steps:
        yield Publish(role, round_, "phase_end", wait=True)


def steps_ahead(all_tasks: tuple[Task, ...], position: int, in_flight: int) -> list[Learn]:
    """The step at `position` and up to `in_flight` more of the same phase: what may be in flight while it learns."""
    first = all_tasks[position]
    assert isinstance(first, Learn)
    ahead = []
    for task in all_tasks[position:]:
        if isinstance(task, Learn) and (task.role, task.round, task.arm) == (first.role, first.round, first.arm):
            ahead.append(task)
        elif not (isinstance(task, Publish) and task.reason == "step"):
            break
        if len(ahead) == in_flight + 1:
            break
    return ahead
