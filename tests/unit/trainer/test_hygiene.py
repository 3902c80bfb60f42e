from harden.trainer.core.hygiene import Overlap, overlaps


def test_disjoint_splits_share_nothing() -> None:
    assert overlaps({"train": ["a", "b"], "monitor": ["c"], "evaluation": []}) == []


def test_case_and_white_space_do_not_make_a_text_another_one() -> None:
    found = overlaps({"train": ["Brew  it"], "evaluation": ["brew it ", "x"], "monitor": ["x"]})
    assert found == [Overlap("evaluation", "monitor", "x"), Overlap("train", "evaluation", "brew it")]


def test_a_text_twice_in_one_split_is_no_overlap() -> None:
    assert overlaps({"train": ["a", "a"]}) == []
