"""What a learner owes the player that holds it, run against the real one and the fake that tests of the trainer use."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from harden import plugins
from harden.serving.probe import tolerance_of
from harden.trainer.learner.learner import Learner
from harden.trainer.learner.report import NON_FINITE
from harden.trainer.learner.settings import LearnerSettings
from harden.trainer.objectives.ports import Sample, SampleGroup, Term
from tests.support.fake_learner import FakeLearner
from tests.support.tiny_models import a_prompt, a_text_model

Make = Callable[..., Any]
PAD = 0  # no policy of ours may say it
ANSWER = (20, 21, 2)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two that differ in shape."""
    root = tmp_path_factory.mktemp("models")
    sizes = {"ours": 32, "another": 48}
    return {name: a_text_model(root / name, num_layers=1, hidden=hidden, num_words=64) for name, hidden in sizes.items()}


@pytest.fixture(params=["real", "fake"])
def make(request: pytest.FixtureRequest) -> Make:
    """A new learner of the model of that name."""
    if request.param == "fake":
        return lambda name="ours": FakeLearner(name)
    models = request.getfixturevalue("models")
    settings = LearnerSettings(learning_rate=1e-2, layout="rows", num_threads=1)
    return lambda name="ours": Learner(models[name], settings, 0)


def a_term(*rewards: float, name: str = "", weight: float = 1.0, answer: tuple[int, ...] = ANSWER) -> Term:
    """GRPO on one group, with a sample for each reward."""
    kind = plugins.load(plugins.OBJECTIVES, "grpo")
    samples = tuple(
        Sample((9 + i, *answer), (-1.0,) * (1 + len(answer)), rewards={"task": reward}) for i, reward in enumerate(rewards)
    )
    return Term(kind(kind.Settings()), [SampleGroup(a_prompt(), samples)], weight, name)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def saved(learner: Any, path: Path) -> Path:
    learner.save_state(path)
    return path


def test_a_step_on_samples_that_differ_moves_the_policy(make: Make) -> None:
    learner = make()
    before = learner.weights()
    report = learner.step([a_term(1.0, 0.0)])
    assert (report.moved, report.skipped) == (True, "")
    assert not same(before, learner.weights())


def test_a_step_without_anything_to_learn_moves_nothing_and_counts(make: Make) -> None:
    learner = make()
    before = learner.weights()
    reports = [learner.step(terms) for terms in ([a_term(1.0, 1.0)], [], [a_term()])]
    assert [(report.moved, report.skipped) for report in reports] == [(False, "")] * 3
    assert [report.step for report in reports] == [1, 2, 3]
    assert same(before, learner.weights())


def test_two_learners_of_one_model_take_the_same_steps(make: Make) -> None:
    one, other = make(), make()
    for learner in (one, other):
        learner.step([a_term(1.0, 0.0)])
        learner.step([a_term(0.0, 1.0), a_term(1.0, 0.0, name="second", weight=0.5)])
    assert same(one.weights(), other.weights())


@pytest.mark.parametrize("impossible", [a_term(1.0, -math.inf), a_term(1.0, 0.0, weight=math.inf)])
def test_a_gradient_that_is_not_finite_is_as_if_there_had_been_nothing_to_learn(make: Make, impossible: Term) -> None:
    learner, other = make(), make()
    report = learner.step([impossible])
    assert (report.moved, report.skipped) == (False, NON_FINITE)
    other.step([])
    assert same(learner.weights(), other.weights())
    for one in (learner, other):
        assert one.step([a_term(1.0, 0.0)]).moved
    assert same(learner.weights(), other.weights())


def test_the_report_counts_what_was_given_and_what_was_learned_from(make: Make) -> None:
    report = make().step([a_term(1.0, 0.0), a_term(1.0, 1.0, 1.0, name="even")])
    assert (report.num_groups, report.num_samples, report.num_samples_trained) == (2, 5, 2)
    assert report.num_tokens == 5 * 4
    assert report.terms.keys() == {"grpo", "even"}
    assert all(math.isfinite(figures["loss"]) for figures in report.terms.values())
    assert [figures["zero_variance_share"] for figures in report.terms.values()] == [0.0, 1.0]
    assert report.figure("zero_variance_share") == 0.0


def test_a_sample_may_be_given_as_text(make: Make) -> None:
    kind = plugins.load(plugins.OBJECTIVES, "supervised")
    learner = make()
    report = learner.step([Term(kind(kind.Settings()), [SampleGroup(a_prompt(), (Sample(text="w1 w2"),))])])
    assert report.moved
    assert report.num_tokens == len(learner.encode_answer("w1 w2"))


def test_what_cannot_be_learned_from_is_refused_before_anything_changes(make: Make) -> None:
    learner = make()
    before = learner.weights()
    given = Term(a_term().objective, [SampleGroup(a_prompt(), (Sample(ANSWER), Sample(ANSWER)))])
    for terms, says in (
        ([a_term(1.0, 0.0), a_term(1.0, 0.0)], "different names"),
        ([given], "this one was given"),
        ([a_term(1.0, 0.0, name="good"), a_term(1.0, 0.0, answer=(PAD, 2))], "cannot say"),
    ):
        with pytest.raises(ValueError, match=says):
            learner.step(terms)
    assert same(before, learner.weights())
    assert learner.step([]).step == 1


def test_weights_given_out_stay_as_they_were(make: Make) -> None:
    learner = make()
    given = learner.weights()
    kept = {name: tensor.clone() for name, tensor in given.items()}
    learner.step([a_term(1.0, 0.0)])
    assert same(given, kept)


def test_the_weights_file_holds_the_weights_and_equal_weights_make_equal_files(make: Make, tmp_path: Path) -> None:
    learner, other = make(), make()
    learner.step([a_term(1.0, 0.0)])
    learner.save_weights(tmp_path / "moved.safetensors")
    assert same(load_file(tmp_path / "moved.safetensors"), learner.weights())
    other.save_weights(tmp_path / "first.safetensors")
    other.step([a_term(1.0, 0.0)])
    other.save_weights(tmp_path / "again.safetensors")
    moved, first, again = ((tmp_path / f"{name}.safetensors").read_bytes() for name in ("moved", "first", "again"))
    assert moved == again != first


def test_a_loaded_state_goes_on_as_the_learner_that_saved_it_did(make: Make, tmp_path: Path) -> None:
    learner, later = make(), make()
    learner.step([a_term(1.0, 0.0)])
    at = saved(learner, tmp_path / "state")
    then = learner.weights()
    reports = [learner.step([a_term(0.0, 1.0)])]
    went_on = learner.weights()
    for one in (later, learner):
        one.load_state(at)
        assert same(one.weights(), then)
        reports.append(one.step([a_term(0.0, 1.0)]))
        assert same(one.weights(), went_on)
    assert [report.step for report in reports] == [2, 2, 2]


def test_a_state_that_is_damaged_or_another_models_is_refused_and_changes_nothing(make: Make, tmp_path: Path) -> None:
    learner = make()
    learner.step([a_term(1.0, 0.0)])
    before = learner.weights()
    whole = saved(learner, tmp_path / "whole").read_bytes()
    (tmp_path / "half").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty").write_bytes(b"")
    saved(make("another"), tmp_path / "another")
    for name in ("half", "empty", "another", "missing"):
        with pytest.raises(ValueError, match="stat"):
            learner.load_state(tmp_path / name)
    assert same(before, learner.weights())
    assert learner.step([]).step == 2


def test_log_probs_are_of_the_policy_as_it_is_now(make: Make, tmp_path: Path) -> None:
    learner = make()
    prompts, tokens = [a_prompt("w1 w2"), a_prompt("w3")], [[9, 10, 2], [11]]
    at = saved(learner, tmp_path / "state")
    first = learner.logprobs(prompts, tokens)
    assert [len(values) for values in first] == [3, 1]
    assert all(math.isfinite(value) and value <= 0 for values in first for value in values)
    assert learner.logprobs(prompts, tokens) == first
    learner.step([a_term(1.0, 0.0)])
    moved = learner.logprobs(prompts, tokens)
    assert all(one != other for one, other in zip(moved[0], first[0], strict=True))
    learner.load_state(at)
    assert learner.logprobs(prompts, tokens) == first


def test_an_answer_is_encoded_with_its_end(make: Make) -> None:
    learner = make()
    one, other = learner.encode_answer("w1 w2"), learner.encode_answer("w3")
    assert one[:-1] != other[:-1]
    assert one[-1] == other[-1]
    assert learner.encode_answer("w1 w2") == one
    assert learner.encode_answer("") == one[-1:]


def test_a_probe_has_a_tolerance_for_its_number_format(make: Make) -> None:
    assert tolerance_of(str(make().model.dtype).removeprefix("torch.")) > 0
