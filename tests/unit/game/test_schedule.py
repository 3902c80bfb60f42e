import dataclasses
from itertools import pairwise

import pytest

from harden import plugins
from harden.domain.bout import Role
from harden.domain.errors import SetupError
from harden.trainer.core.history import Finished
from harden.trainer.core.lengths import Lengths
from harden.trainer.game.schedules.alternate import Alternate
from harden.trainer.game.schedules.continuous import Continuous
from harden.trainer.game.tasks.cross_play import CrossPlay
from harden.trainer.game.tasks.learn import Learn
from harden.trainer.game.tasks.measure import MeasureAttacker
from harden.trainer.game.tasks.monitor import Monitor
from harden.trainer.game.tasks.publish import Publish
from harden.trainer.game.tasks.side_run import EndSideRun
from tests.support.schedules import played

SHORT = Lengths(rounds=2, defender_steps=3, attacker_steps=2, publish_every=2)
LONG = Lengths(rounds=3, defender_steps=4, attacker_steps=4, publish_every=1, side_run_steps=3, cross_play=True)


def learning(lengths: Lengths) -> list[tuple[str, int, int]]:
    return [(t.role, t.round, t.step) for t in played(Alternate(lengths)) if isinstance(t, Learn)]


def test_a_round_is_the_defenders_phase_and_then_the_attackers() -> None:
    expected = []
    for round_ in (1, 2):
        expected += [("defender", round_, step) for step in range(3)] + [("attacker", round_, step) for step in range(2)]
    assert learning(SHORT) == expected


def test_the_monitor_looks_when_the_end_of_the_defenders_phase_is_served_and_before_the_attacker_learns() -> None:
    tasks = played(Alternate(SHORT))
    assert sum(isinstance(task, Monitor) for task in tasks) == SHORT.rounds
    for before, after in pairwise(tasks):
        if isinstance(after, Monitor):
            assert isinstance(before, Publish)
            assert (before.role, before.reason, before.wait) == (Role.DEFENDER, "phase_end", True)


def test_a_phase_publishes_every_n_steps_and_at_its_end_only_once() -> None:
    published = [t for t in played(Alternate(SHORT)) if isinstance(t, Publish) and t.round == 1]
    assert [(t.role, t.reason) for t in published] == [
        ("defender", "step"),
        ("defender", "phase_end"),
        ("attacker", "phase_end"),
    ]


def test_the_side_run_and_cross_play_come_after_the_last_round() -> None:
    tasks = played(Alternate(LONG))
    assert isinstance(tasks[-1], CrossPlay)
    assert isinstance(tasks[-2], EndSideRun)
    side_run = [t for t in tasks if isinstance(t, Learn) and t.recipe]
    assert tasks.index(side_run[0]) > max(tasks.index(t) for t in tasks if isinstance(t, Learn) and not t.recipe)


def test_a_game_without_end_goes_on_and_knows_no_share() -> None:
    schedule = Continuous(SHORT)
    tasks = played(schedule, most=100)
    assert len(tasks) == 100
    assert tasks[-1].about.round > SHORT.rounds
    assert schedule.progress([Finished(task.key) for task in tasks]) is None


def test_a_run_may_get_more_rounds() -> None:
    done = [Finished(task.key) for task in played(Alternate(SHORT))]
    more = Alternate(Lengths(rounds=3, defender_steps=3, attacker_steps=2, publish_every=2))
    task = more.next(done)
    assert isinstance(task, MeasureAttacker)
    assert task.round == 3


def test_a_history_that_the_schedule_does_not_lead_to_is_refused_with_what_differs() -> None:
    done = [Finished(task.key) for task in played(Alternate(SHORT))]
    shorter_phase = Alternate(Lengths(rounds=2, defender_steps=2, attacker_steps=2, publish_every=2))
    with pytest.raises(SetupError, match="has done round-1/defender/publish-step-2 where the experiment now has"):
        shorter_phase.next(done)
    fewer_rounds = Alternate(Lengths(rounds=1, defender_steps=3, attacker_steps=2, publish_every=2))
    with pytest.raises(SetupError, match="has done round-2/measure-before, behind the end"):
        fewer_rounds.next(done)


def test_every_schedule_that_ships_is_found_as_a_plug_in() -> None:
    assert {"alternate", "continuous"} <= set(plugins.names(plugins.SCHEDULES))
    assert plugins.load(plugins.SCHEDULES, "alternate") is Alternate


def test_no_round_is_added_behind_what_ends_a_game() -> None:
    done = [Finished(task.key) for task in played(Alternate(LONG))]
    more = Alternate(dataclasses.replace(LONG, rounds=4))
    with pytest.raises(SetupError, match="Rounds can be added until the last one is over"):
        more.next(done)
