"""How far a bout came, where it goes round more than once."""

from harden.cli.bout import how_far
from harden.domain.verdict import ContinuedBout, JudgedBout
from tests.support.facts import a_two_turn_bout


def test_a_later_turn_is_further_than_a_later_stage() -> None:
    second = a_two_turn_bout()
    first = second.sampled.attacked.previous
    assert isinstance(first, JudgedBout)
    stages = [
        first.bout,
        first.sampled.attacked,
        first.sampled,
        ContinuedBout(first),
        second.sampled.attacked,
        second.sampled,
        second,
    ]
    assert sorted(stages, key=how_far) == stages
    assert len({how_far(stage) for stage in stages}) == len(stages)
