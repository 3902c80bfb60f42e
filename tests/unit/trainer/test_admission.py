import pytest

from harden.domain.bout import Purpose, Role
from harden.domain.completion import Completion, FinishReason
from harden.trainer.core import admission
from harden.trainer.core.admission import AdmissionRules, admits
from tests.unit.trainer.judged import LEAK, REFUSED, a_completion, a_judged_bout, on_attack


@pytest.mark.parametrize(
    ("lag", "expected"),
    [
        (0, (True, admission.ADMITTED)),
        (8, (True, admission.ADMITTED)),
        (9, (False, admission.STALE)),
        (None, (False, admission.UNKNOWN_POLICY)),
    ],
)
def test_the_lag_bound_holds_exactly(lag: int | None, expected: tuple[bool, str]) -> None:
    assert admits(a_completion(), lambda _: lag, AdmissionRules(8)) == expected


def test_what_no_policy_wrote_is_not_admitted() -> None:
    empty = Completion("", (), (), FinishReason.STOP, "sha256:" + "0" * 64, 1)
    for completion in (None, empty):
        assert admits(completion, lambda _: 0, AdmissionRules()) == (False, admission.NOT_SAMPLED)


def test_truncated_answers_are_left_out_when_asked() -> None:
    completion = a_completion(finish=FinishReason.LENGTH)
    assert admits(completion, lambda _: 0, AdmissionRules())[0]
    assert admits(completion, lambda _: 0, AdmissionRules(drop_truncated=True)) == (False, admission.TRUNCATED)


def test_only_bouts_for_training_train_and_only_their_learner() -> None:
    exchanges = [(on_attack(), [LEAK, REFUSED])]
    assert admission.is_for_training(a_judged_bout(exchanges), Role.DEFENDER)
    assert not admission.is_for_training(a_judged_bout(exchanges), Role.ATTACKER)
    evaluated = a_judged_bout(exchanges, purpose=Purpose.EVALUATE, learner=None)
    assert not admission.is_for_training(evaluated, Role.DEFENDER)
