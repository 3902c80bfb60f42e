"""DPO's pairs: of the game and of a file."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from harden.domain.errors import SetupError
from harden.trainer.algorithms.dpo import DPO, read_pairs
from tests.unit.algorithms.played import a_context, a_request, made
from tests.unit.trainer.judged import LEAK, OTHER, REFUSED, a_judged_bout, on_attack


def a_file(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(lines))
    return path


def some_lines(count: int) -> list[str]:
    return [f'{{"prompt": "p{i}", "chosen": "good {i}", "rejected": "bad {i}"}}' for i in range(count)]


def test_the_best_of_a_group_stands_against_the_worst() -> None:
    judged = a_judged_bout([(on_attack(), [OTHER, LEAK, REFUSED, REFUSED]), (on_attack(), [LEAK] * 4)])
    (term,) = made(DPO).terms([judged], a_context()).terms
    (group,) = term.groups  # the second attack's answers are all alike
    assert [sample.reward for sample in group.samples] == [1.0, -1.0]
    assert len({sample.pair for sample in group.samples}) == 1


def test_pairs_of_different_groups_are_different_pairs() -> None:
    judged = a_judged_bout([(on_attack(), [LEAK, REFUSED]), (on_attack(), [LEAK, REFUSED])])
    (term,) = made(DPO).terms([judged], a_context()).terms
    pairs = term.objective.constants(term.groups, step=0)
    assert pairs.chosen_P.tolist() == [0, 2]
    assert pairs.rejected_P.tolist() == [1, 3]


def test_given_pairs_are_drawn_anew_for_each_step_and_the_same_when_asked_again(tmp_path: Path) -> None:
    pairs = {"path": a_file(tmp_path, *some_lines(20)), "per_step": 4}
    algorithm = made(DPO, bouts_per_step=0, mix=(), pairs=pairs)
    assert algorithm.bouts(a_request()) == []
    first, again, second = (algorithm.terms([], a_context(step)).terms[0].groups for step in (0, 0, 1))
    assert first == again
    assert first != second
    assert [(s.text, s.reward) for s in first[0].samples] == [
        (first[0].prompt.conversation.last_text.replace("p", "good "), 1.0),
        (first[0].prompt.conversation.last_text.replace("p", "bad "), 0.0),
    ]


def test_of_a_short_file_all_pairs_are_taken(tmp_path: Path) -> None:
    pairs = {"path": a_file(tmp_path, *some_lines(2), ""), "per_step": 4}
    assert len(made(DPO, bouts_per_step=0, mix=(), pairs=pairs).terms([], a_context()).terms[0].groups) == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1: Expecting"),
        ('{"prompt": "p", "chosen": "c"}', "line 1: Field required"),
        ('{"prompt": "p", "chosen": "c", "rejected": "c"}', "same text"),
        ("", "has no pair"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(SetupError, match=said):
        read_pairs(a_file(tmp_path, line))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="nowhere"):
        read_pairs(tmp_path / "nowhere.jsonl")


@pytest.mark.parametrize("settings", [{"bouts_per_step": 0}, {"bouts_per_step": 8, "mix": ()}])
def test_something_to_learn_from_is_needed(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"no training data|needs a mix"):
        DPO.Settings.model_validate(settings)
