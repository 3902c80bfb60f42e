from harden.trainer.core.hygiene import Overlap, overlaps
from harden.worlds.arena.seeds import anchor, training_seeds, transform
from harden.worlds.arena.suites import all_suites


def test_disjoint_splits_share_nothing() -> None:
    assert overlaps({"train": ["a", "b"], "monitor": ["c"], "evaluation": []}) == []


def test_case_and_white_space_do_not_make_a_text_another_one() -> None:
    found = overlaps({"train": ["Brew  it"], "evaluation": ["brew it ", "x"], "monitor": ["x"]})
    assert found == [Overlap("evaluation", "monitor", "x"), Overlap("train", "evaluation", "brew it")]


def test_a_text_twice_in_one_split_is_no_overlap() -> None:
    assert overlaps({"train": ["a", "a"]}) == []


def test_the_arenas_training_texts_share_nothing_with_what_is_held_out() -> None:
    """Methods, oracle 21: names, templates and whole texts, of transforms and anchors over every training seed."""
    # Listed ones are only ever asked for plainly; the demo asks for none of them.
    attacked = [s for s in training_seeds() if s.kind != "listed"]
    trained = [text for s in attacked for n in range(20) for text in (transform(s.text, n), anchor(s.text, n)[0])]
    held_out = {suite.name: [row.attack for row in suite.rows] for suite in all_suites() if "held_out" in suite.name}
    assert len(held_out) == 6
    for name, texts in held_out.items():
        assert overlaps({"trained": trained, name: texts}) == []
    names = {
        row.subject for suite in all_suites() if suite.name in ("held_out_potion", "ordinary_held_out") for row in suite.rows
    }
    brewed = [s.goal.subject for s in attacked if s.goal.intent == "brew"]
    assert overlaps({"trained": brewed, "held out": names}) == []
