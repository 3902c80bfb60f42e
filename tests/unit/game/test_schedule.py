from itertools import pairwise

from harden.domain.bout import Role
from harden.trainer.core.schedule import EndArm, Learn, Lengths, Matrix, MeasureAttacker, Publish, steps_ahead, tasks

SHORT = Lengths(rounds=2, defender_steps=3, attacker_steps=2, publish_every=2, arm_steps=0, matrix=False)


def learning(lengths: Lengths) -> list[tuple[str, int, int]]:
    return [(t.role, t.round, t.step) for t in tasks(lengths) if isinstance(t, Learn)]


def test_a_round_is_the_defenders_phase_and_then_the_attackers() -> None:
    expected = []
    for round_ in (1, 2):
        expected += [("defender", round_, step) for step in range(3)] + [("attacker", round_, step) for step in range(2)]
    assert learning(SHORT) == expected


def test_the_end_of_a_phase_is_served_before_anything_is_measured() -> None:
    all_tasks = tasks(SHORT)
    for before, after in pairwise(all_tasks):
        if isinstance(after, MeasureAttacker) and after.when == "after":
            assert before == Publish(Role.DEFENDER, after.round, "phase_end", wait=True)


def test_a_phase_publishes_every_n_steps_and_at_its_end_only_once() -> None:
    published = [t for t in tasks(SHORT) if isinstance(t, Publish) and t.round == 1]
    assert [(t.role, t.reason) for t in published] == [
        ("defender", "step"),
        ("defender", "phase_end"),
        ("attacker", "phase_end"),
    ]


def test_no_step_stands_twice_so_that_a_step_names_its_bouts() -> None:
    long = Lengths(rounds=3, defender_steps=4, attacker_steps=4, publish_every=1, arm_steps=3, matrix=True)
    steps = [task for task in tasks(long) if isinstance(task, Learn)]
    assert len(set(steps)) == len(steps) == 3 * 8 + 3


def test_only_steps_of_the_same_phase_go_ahead() -> None:
    all_tasks = tasks(SHORT)
    first = all_tasks.index(Learn(Role.DEFENDER, 1, 1, 3))
    assert steps_ahead(all_tasks, first, in_flight=5) == [Learn(Role.DEFENDER, 1, 1, 3), Learn(Role.DEFENDER, 1, 2, 3)]


def test_nothing_goes_ahead_when_synchronous() -> None:
    all_tasks = tasks(SHORT)
    first = all_tasks.index(Learn(Role.DEFENDER, 1, 0, 3))
    assert steps_ahead(all_tasks, first, in_flight=0) == [Learn(Role.DEFENDER, 1, 0, 3)]


def test_the_arm_and_the_matrix_come_after_the_last_round() -> None:
    lengths = Lengths(rounds=1, defender_steps=1, attacker_steps=1, publish_every=1, arm_steps=2, matrix=True)
    kinds = [type(t) for t in tasks(lengths)]
    assert kinds[-1] is Matrix
    assert kinds.index(EndArm) > max(i for i, t in enumerate(tasks(lengths)) if isinstance(t, Learn) and not t.arm)
