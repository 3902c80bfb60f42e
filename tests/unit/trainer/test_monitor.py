from typing import Any

from harden.statistics import wilson
from harden.trainer.core.monitor import Limits, breaches

LIMITS = Limits(max_refusal_ordinary=0.15, min_accuracy_ordinary=0.85, max_zero_variance=0.9)


def a_record(*, refused: int = 2, accurate: int = 97, zero_variance: float = 0.5) -> dict[str, Any]:
    step = {"role": "defender", "zero_variance_share": zero_variance}
    return {
        "attack_success": {"train": wilson(0, 100).to_json()},
        "refusal": {"ordinary": wilson(refused, 100).to_json()},
        "accuracy": {"ordinary": wilson(accurate, 100).to_json()},
        "steps": [step] * 10,
    }


def rules_broken(record: dict[str, Any], limits: Limits = LIMITS) -> list[str]:
    return [breach.rule for breach in breaches(record, limits, "ordinary")]


def test_a_healthy_round_passes() -> None:
    assert breaches(a_record(), LIMITS, "ordinary") == []


def test_a_defender_that_refuses_everything_is_caught_by_every_rule() -> None:
    record = a_record(refused=100, accurate=0, zero_variance=1.0)
    assert rules_broken(record) == ["refusal_ordinary", "accuracy_ordinary", "zero_variance"]


def test_a_defender_that_complies_with_everything_passes_here() -> None:
    # Its attacks succeed; that is the game's business, not the monitor's.
    assert rules_broken(a_record(refused=0, accurate=100)) == []


def test_limits_themselves_are_allowed() -> None:
    assert rules_broken(a_record(refused=15, accurate=85, zero_variance=0.9)) == []
    assert rules_broken(a_record(refused=16)) == ["refusal_ordinary"]
    assert rules_broken(a_record(accurate=84)) == ["accuracy_ordinary"]


def test_only_the_defenders_last_steps_count_for_variance() -> None:
    record = a_record()
    early, late = ({"role": "defender", "zero_variance_share": share} for share in (1.0, 0.2))
    record["steps"] = [early] * 20 + [late] * 5 + [{"role": "attacker", "zero_variance_share": 1.0}] * 9
    assert rules_broken(record) == []


def test_without_evidence_a_round_does_not_pass() -> None:
    assert rules_broken({}) == ["refusal_ordinary", "accuracy_ordinary"]
    empty = a_record() | {"refusal": {"ordinary": wilson(0, 0).to_json()}}
    assert rules_broken(empty) == ["refusal_ordinary"]


def test_a_rule_can_be_switched_off() -> None:
    assert rules_broken(a_record(refused=100, accurate=0, zero_variance=1.0), Limits(None, None, None)) == []


def test_a_breach_reads_like_a_sentence() -> None:
    (breach,) = breaches(a_record(refused=40), LIMITS, "ordinary")
    assert str(breach) == "refusal_ordinary: 0.400 is above 0.15"
