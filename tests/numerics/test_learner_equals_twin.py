"""The learner's loss and gradient against a float64 twin that shares nothing, batches nothing and skips nothing."""

from pathlib import Path

import pytest
import torch

from harden.trainer.learner.learner import Learner
from harden.trainer.learner.policy import Reader
from harden.trainer.learner.settings import LearnerSettings
from harden.trainer.objectives.grpo import GRPO, GRPOSettings
from harden.trainer.objectives.ports import Term
from tests.numerics import twins
from tests.support.tiny_models import a_prompt

UNCLIPPED = 1e9


def a_learner(directory: Path, **settings: object) -> Learner:
    return Learner(directory, LearnerSettings(max_grad_norm=UNCLIPPED, **settings), seed=0)


def moved_away(learner: Learner) -> None:
    """Somewhere else than the reference, so that the KL is not zero."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in learner.model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("normalise", ["token", "sample", "constant"])
@pytest.mark.parametrize("kl_beta", [0.0, 0.3])
@pytest.mark.parametrize("layout", ["tree", "rows"])
def test_loss_and_gradient_equal_the_twins(text_model: Path, normalise: str, kl_beta: float, layout: str) -> None:
    objective = GRPOSettings(normalise=normalise, kl_beta=kl_beta, longest=11)
    learner = a_learner(text_model, layout=layout)
    reference = twins.double_twin(learner.model) if kl_beta else None
    moved_away(learner)
    twin = twins.double_twin(learner.model)
    groups = twins.some_groups(4, 5)

    loss = twins.grpo_loss(twin, reference, Reader(text_model), groups, objective)
    loss.backward()
    report = learner.step([Term(GRPO(objective), groups)])

    assert report.loss == pytest.approx(loss.item(), rel=1e-5, abs=1e-6)
    assert twins.largest_difference(twins.gradients(twin), twins.gradients(learner.model)) < 1e-5


def test_images_are_read_as_the_model_reads_them(image_model: Path) -> None:
    learner = a_learner(image_model)
    assert learner.settings.layout == "auto"
    twin = twins.double_twin(learner.model)
    groups = twins.some_groups(4, 5, images=True)
    twins.grpo_loss(twin, None, Reader(image_model), groups, GRPOSettings()).backward()
    gradient = twins.stepped(learner, twins.grpo(groups))
    assert any("vision" in name for name in gradient)
    assert twins.largest_difference(twins.gradients(twin), gradient) < 1e-5


def test_a_supervised_term_adds_its_mean_cross_entropy(text_model: Path) -> None:
    anchors = twins.given((a_prompt("w1 w2"), "w3 w4 w5"), (a_prompt("w9"), "w8"), weight=0.3)
    learner = a_learner(text_model)
    twin = twins.double_twin(learner.model)
    groups = twins.some_groups(3, 4)
    expected = twins.supervised_loss(twin, Reader(text_model), anchors.groups)
    played = twins.grpo_loss(twin, None, Reader(text_model), groups, GRPOSettings())
    (played + 0.3 * expected).backward()
    report = learner.step([twins.grpo(groups), anchors])
    assert report.terms["supervised"]["loss"] == pytest.approx(expected.item(), rel=1e-5)
    assert report.loss == pytest.approx((played + 0.3 * expected).item(), rel=1e-5)
    assert twins.largest_difference(twins.gradients(twin), twins.gradients(learner.model)) < 1e-5


@pytest.mark.parametrize("max_tokens", [16, 60, 100_000])
def test_splitting_into_passes_changes_nothing(text_model: Path, max_tokens: int) -> None:
    groups = twins.some_groups(6, 6, random_seed=3)
    anchors = twins.given(*((a_prompt(f"w{i}"), "w3 w4 " * (i + 1)) for i in range(5)), weight=0.3)
    terms = [twins.grpo(groups, kl_beta=0.1), anchors]
    whole = a_learner(text_model, max_tokens_per_pass=100_000)
    parts = a_learner(text_model, max_tokens_per_pass=max_tokens)
    moved_away(whole)
    moved_away(parts)
    one, other = whole.step(terms), parts.step(terms)
    assert twins.largest_difference(twins.gradients(whole.model), twins.gradients(parts.model)) < 1e-6
    for name in ("loss", "num_tokens", "num_positions"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-5), name
    for key, figures in one.terms.items():
        assert figures == pytest.approx(other.terms[key], rel=1e-5), key
    assert {"kl", "is_mean", "is_ess", "is_max", "entropy", "engine_kl_k3"} <= one.terms["grpo"].keys()
    assert "entropy" not in one.terms["supervised"], "what was given was not drawn"


def test_layouts_give_the_same_gradient(text_model: Path) -> None:
    groups = twins.some_groups(4, 8, random_seed=7)
    tree, rows = a_learner(text_model, layout="tree"), a_learner(text_model, layout="rows")
    assert twins.largest_difference(twins.stepped(tree, twins.grpo(groups)), twins.stepped(rows, twins.grpo(groups))) < 1e-5


def test_the_tree_computes_a_prompt_and_equal_beginnings_once(text_model: Path) -> None:
    groups = twins.some_groups(4, 8, random_seed=7)
    tree, rows = a_learner(text_model, layout="tree"), a_learner(text_model, layout="rows")
    terms = [twins.grpo(groups)]
    assert tree.step(terms).num_positions < 0.6 * rows.step(terms).num_positions


def test_skipping_samples_without_gradient_changes_nothing(text_model: Path) -> None:
    groups = twins.some_groups(5, 6, random_seed=11)
    learner = a_learner(text_model)
    report = learner.step([twins.grpo(groups)])
    assert report.num_samples_trained < report.num_samples
    # A vanishing KL keeps every sample in.
    everything = a_learner(text_model)
    assert everything.step([twins.grpo(groups, kl_beta=1e-12)]).num_samples_trained == report.num_samples
    assert twins.largest_difference(twins.gradients(learner.model), twins.gradients(everything.model)) < 1e-6


def test_logprobs_equal_the_twins_one_by_one(image_model: Path) -> None:
    learner = a_learner(image_model)
    groups = twins.some_groups(5, 1, images=True)
    prompts = [group.prompt for group in groups]
    token_ids = [group.samples[0].token_ids for group in groups]
    twin, reader = twins.double_twin(learner.model), Reader(image_model)
    for prompt, ids, logprobs in zip(prompts, token_ids, learner.logprobs(prompts, token_ids), strict=True):
        expected = twins.answer_logprobs(twin, reader, prompt, ids)
        assert logprobs == pytest.approx(expected.tolist(), abs=1e-4)
