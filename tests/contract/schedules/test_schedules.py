"""What every installed schedule must keep, ours and everybody's: the trainer and its checkpoints rely on it."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from harden import plugins
from harden.domain.bout import Role
from harden.domain.errors import SetupError
from harden.trainer.core.history import Finished, Outcome
from harden.trainer.core.lengths import Lengths
from harden.trainer.game.context import SIDE_RUN
from harden.trainer.game.schedules.ports import Schedule, steps_ahead
from harden.trainer.game.tasks.evaluate import Evaluate
from harden.trainer.game.tasks.learn import Learn
from harden.trainer.game.tasks.monitor import Monitor
from harden.trainer.game.tasks.ports import Task
from harden.trainer.game.tasks.publish import IN_PHASE, START, Publish
from harden.trainer.game.tasks.side_run import EndSideRun
from tests.support.schedules import played

Make = Callable[[Lengths], Schedule]

LENGTHS = {
    "short": Lengths(rounds=2, defender_steps=3, attacker_steps=2, publish_every=2),
    "long": Lengths(rounds=3, defender_steps=4, attacker_steps=4, publish_every=1, side_run_steps=3, cross_play=True),
    "no steps": Lengths(rounds=2, defender_steps=0, attacker_steps=0, publish_every=1),
}


def good(task: Task) -> Outcome:
    """What the task might come to in a game that goes well."""
    rate = {"k": 9, "n": 10, "rate": 0.9, "low": 0.6, "high": 1.0}
    match task:
        case Learn():
            return {
                "round": task.round,
                "role": task.role.value,
                "recipe": task.name,
                "attempt": task.attempt,
                "zero_variance_share": 0.25,
            }
        case Publish():
            return {"digest": "sha256:" + "0" * 64, "version": 1}
        case Evaluate():
            return {"round": task.round, "rates": {"accuracy": {"ordinary": rate}}}
        case Monitor():
            return {"round": task.round, "rejected": False, "breaches": []}
        case EndSideRun():
            return {"rolled_back": False}
        case _:
            return {}


def bad(task: Task) -> Outcome:
    """The same, in a game in which everything that the defender learns is rejected."""
    outcome = good(task)
    return {**outcome, "rejected": True} if "rejected" in outcome else outcome


@pytest.fixture(params=plugins.names(plugins.SCHEDULES))
def make(request: pytest.FixtureRequest) -> Make:
    kind: Make = plugins.load(plugins.SCHEDULES, request.param)
    return kind


@pytest.fixture(params=list(LENGTHS.values()), ids=list(LENGTHS))
def lengths(request: pytest.FixtureRequest) -> Lengths:
    given: Lengths = request.param
    return given


@pytest.fixture(params=[good, bad])
def outcome_of(request: pytest.FixtureRequest) -> Callable[[Task], Outcome]:
    given: Callable[[Task], Outcome] = request.param
    return given


@pytest.fixture
def history(make: Make, lengths: Lengths, outcome_of: Callable[[Task], Outcome]) -> tuple[Finished, ...]:
    """Of a whole game, or of the first tasks of one without end."""
    return tuple(Finished(task.key, outcome_of(task)) for task in played(make(lengths), outcome_of))


@pytest.fixture
def tasks(make: Make, lengths: Lengths, outcome_of: Callable[[Task], Outcome]) -> list[Task]:
    return played(make(lengths), outcome_of)


def test_no_two_tasks_have_one_key(tasks: Sequence[Task]) -> None:
    assert tasks
    assert len({task.key for task in tasks}) == len(tasks)


def test_a_task_is_a_frozen_dataclass_equal_by_its_fields(tasks: Sequence[Task]) -> None:
    for task in tasks:
        assert dataclasses.is_dataclass(task)
        copy = dataclasses.replace(task)
        assert copy is not task
        assert (copy, hash(copy)) == (task, hash(task))
        for field in dataclasses.fields(task):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(task, field.name, None)


def test_every_task_says_what_it_is_about_and_costs_something(tasks: Sequence[Task]) -> None:
    for task in tasks:
        assert task.about.phase
        assert task.about.round >= 0
        assert 0 <= task.about.step <= task.about.steps
        assert task.cost > 0


def test_both_players_are_published_and_served_before_anything_else(tasks: Sequence[Task]) -> None:
    """Everything but a publication asks policies that are current."""
    first = next(i for i, task in enumerate(tasks) if not isinstance(task, Publish))
    opening = [task for task in tasks[:first] if isinstance(task, Publish)]
    assert {(task.role, task.reason, task.wait) for task in opening} == {(role, START, True) for role in Role}
    assert not [task for task in tasks[first:] if isinstance(task, Publish) and task.reason == START]


def test_a_step_follows_an_algorithm_that_the_experiment_has(tasks: Sequence[Task], lengths: Lengths) -> None:
    recipes = {role.value for role in Role} | ({SIDE_RUN} if lengths.side_run_steps else set())
    for task in tasks:
        if isinstance(task, Learn):
            assert task.name in recipes
            assert 0 <= task.step < task.of


def test_what_was_learned_is_served_before_it_is_measured(tasks: Sequence[Task]) -> None:
    unserved: set[Role] = set()
    for task in tasks:
        if isinstance(task, Learn):
            unserved.add(task.role)
        elif isinstance(task, Publish):
            # One that is not waited for is served some time during the phase.
            unserved -= {task.role} if task.wait else set()
        else:
            assert not unserved, task.key


def test_the_same_history_has_the_same_next_task_whatever_was_asked_before(
    make: Make, lengths: Lengths, tasks: Sequence[Task], history: Sequence[Finished]
) -> None:
    schedule = make(lengths)
    for done in (len(history) - 1, 0, len(history) // 2, 1, len(history) // 2):
        given = list(history[:done])
        assert schedule.next(given) == schedule.next(given) == tasks[done]
        schedule.progress(given)
        assert given == list(history[:done])


def test_a_trainer_that_restarts_after_any_task_goes_on_with_the_same_one(
    make: Make, lengths: Lengths, tasks: Sequence[Task], history: Sequence[Finished]
) -> None:
    assert [make(lengths).next(history[:done]) for done in range(len(history))] == list(tasks)


def test_a_game_that_is_over_stays_over(
    make: Make, lengths: Lengths, tasks: Sequence[Task], history: Sequence[Finished]
) -> None:
    schedule = make(lengths)
    last = schedule.next(history)
    assert last is None or last.key not in {task.key for task in tasks}
    assert make(lengths).next(history) == last


def test_a_history_with_a_task_of_another_game_is_refused(make: Make, lengths: Lengths, history: Sequence[Finished]) -> None:
    strange = Finished("round-1/nobody/step-0")
    for done in {*range(1, len(history), 10), len(history)}:
        for at in {0, done // 2, done - 1}:
            with pytest.raises(SetupError, match="has done round-1/nobody/step-0"):
                make(lengths).next([*history[:at], strange, *history[at + 1 : done]])


@pytest.mark.parametrize("change", [{"defender_steps": 5}, {"attacker_steps": 5}, {"publish_every": 3}])
def test_a_history_of_other_lengths_is_refused_as_soon_as_it_differs(make: Make, change: dict[str, Any]) -> None:
    begun = make(Lengths(rounds=2, defender_steps=4, attacker_steps=4, publish_every=2))
    now = make(dataclasses.replace(Lengths(rounds=2, defender_steps=4, attacker_steps=4, publish_every=2), **change))
    before, after = (played(schedule, good, most=60) for schedule in (begun, now))
    history = [Finished(task.key, good(task)) for task in before]
    differs_at = next(i for i, (one, other) in enumerate(zip(before, after, strict=False)) if one.key != other.key)
    assert now.next(history[:differs_at]) == after[differs_at]
    for done in range(differs_at + 1, len(history) + 1):
        with pytest.raises(SetupError, match=f"has done {history[differs_at].key} where"):
            now.next(history[:done])


def test_progress_rises_from_nothing_to_all_unless_the_game_has_no_end(make: Make, lengths: Lengths) -> None:
    schedule = make(lengths)
    history = [Finished(task.key, good(task)) for task in played(schedule, good)]
    shares = [schedule.progress(history[:done]) for done in range(len(history) + 1)]
    if schedule.next(history) is not None:
        assert set(shares) == {None}
        return
    known = [share for share in shares if share is not None]
    assert (len(known), known[0], known[-1]) == (len(shares), 0.0, 1.0)
    assert known == sorted(known)


@pytest.mark.parametrize("in_flight", [0, 1, 10])
def test_only_the_next_steps_of_the_same_phase_go_ahead(
    make: Make,
    lengths: Lengths,
    outcome_of: Callable[[Task], Outcome],
    tasks: Sequence[Task],
    history: Sequence[Finished],
    in_flight: int,
) -> None:
    """They are what is played later: nothing is on the ring that no step takes."""
    schedule = make(lengths)
    later = played(schedule, outcome_of, most=len(tasks) + lengths.defender_steps * 2)
    for done, task in enumerate(tasks):
        if isinstance(task, Learn):
            ahead = steps_ahead(schedule, history[:done], task, in_flight)
            assert ahead == list(_rest_of_phase(later[done:]))[: in_flight + 1]


def _rest_of_phase(tasks: Sequence[Any]) -> Iterator[Learn]:
    """Steps up to the first task that is neither one of the phase nor a publication inside it."""
    first = tasks[0]
    for task in tasks:
        if isinstance(task, Learn) and (task.name, task.round) == (first.name, first.round):
            yield task
        elif not (isinstance(task, Publish) and task.reason == IN_PHASE):
            return
