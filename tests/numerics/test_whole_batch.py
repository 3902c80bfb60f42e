"""Objectives whose loss of one sample depends on others: two passes give the gradient of one, and equal plain float64 twins."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from harden.trainer.learner.learner import Learner
from harden.trainer.learner.policy import Reader
from harden.trainer.learner.settings import LearnerSettings
from harden.trainer.objectives.dpo import DPO, DPOSettings
from harden.trainer.objectives.ports import (
    Constants,
    Contrast,
    Figures,
    Needs,
    Objective,
    Parameter,
    Sample,
    SampleGroup,
    Term,
    View,
    samples_of,
)
from harden.trainer.objectives.rloo import RLOO, RLOOSettings
from tests.numerics import twins
from tests.support.tiny_models import a_prompt, some_prompts


class Balance(Objective):
    """Trajectory balance (log Z + log pi - log R)^2 over all samples, and a contrast: everything an objective may use."""

    name: ClassVar[str] = "balance"
    Settings: ClassVar[Any] = None

    def __init__(self, *, whole_batch: bool, rate: float = 0.1) -> None:
        self._needs = Needs(reference=True, behaviour=True, whole_batch=whole_batch)
        self._rate = rate

    @property
    def needs(self) -> Needs:
        return self._needs

    def parameters(self, groups: Sequence[SampleGroup]) -> Mapping[str, Parameter]:
        return {"log_z": Parameter(torch.tensor(0.5, dtype=torch.float64), self._rate)}

    def constants(self, groups: Sequence[SampleGroup], step: int) -> Constants:
        return Constants(moves=[True] * len(samples_of(groups)))

    def loss(self, view: View, constants: Constants) -> tuple[Tensor, Figures]:
        num_samples = len(constants.moves)
        assert view.reference_N is not None
        assert view.behaviour_N is not None
        log_pi_S = view.per_sample(view.policy_N * (1 + 0.01 * view.position_N), num_samples)
        log_r_S = view.per_sample(view.reference_N.double() - 0.1 * view.behaviour_N, num_samples)
        present_S = view.per_sample(torch.ones_like(view.policy_N), num_samples) > 0
        balance_S = (view.parameters["log_z"] + log_pi_S - log_r_S) * present_S
        contrast = (view.policy_N[view.contrast_at_C] - view.contrast_C).square().sum()
        figures = Figures()
        figures.mean("balance", balance_S[present_S])
        return (balance_S.square().sum() + contrast) / num_samples, figures


class Spread(Balance):
    """VarGrad: the variance over the batch, where every sample's gradient depends on all log-probs."""

    def loss(self, view: View, constants: Constants) -> tuple[Tensor, Figures]:
        log_pi_S = view.per_sample(view.policy_N, len(constants.moves))
        assert view.reference_N is not None
        return (log_pi_S - view.per_sample(view.reference_N, len(constants.moves))).var(), Figures()


def a_learner(directory: Path, **settings: Any) -> Learner:
    return Learner(directory, LearnerSettings(max_grad_norm=1e9, **settings), seed=0)


def in_double(learner: Learner) -> Learner:
    """Also away from the reference, so that nothing cancels."""
    reference = learner._reference.ensure()
    assert reference._scorer is not None
    reference._scorer.model.double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in learner.model.double().parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return learner


def with_contrasts(groups: Sequence[SampleGroup]) -> list[SampleGroup]:
    return [
        SampleGroup(g.prompt, tuple(dataclasses.replace(s, contrasts=(Contrast(len(s.token_ids) - 1, 11),)) for s in g.samples))
        for g in groups
    ]


def own_gradient(learner: Learner) -> Tensor:
    (parameter,) = learner._optimiser.own().values()
    assert parameter.grad is not None
    return parameter.grad


@pytest.mark.parametrize("layout", ["tree", "rows"])
def test_two_passes_give_the_gradient_of_one(text_model: Path, layout: str) -> None:
    """In float64, own parameters and contrasts included, however the batch is cut into passes."""
    groups = with_contrasts(twins.some_groups(4, 5, random_seed=4))
    one = in_double(a_learner(text_model, layout=layout))
    two = in_double(a_learner(text_model, layout=layout, max_tokens_per_pass=40))
    one_report = one.step([Term(Balance(whole_batch=False), groups, weight=0.7)])
    two_report = two.step([Term(Balance(whole_batch=True), groups, weight=0.7)])
    assert one_report.loss == pytest.approx(two_report.loss, rel=1e-6)
    assert one_report.terms["balance"] == pytest.approx(two_report.terms["balance"], rel=1e-6)
    # Llama's norm computes in float32 for weights of every type, and rows of other lengths round it otherwise.
    assert twins.largest_difference(twins.gradients(one.model), twins.gradients(two.model)) < 1e-6
    assert own_gradient(one).item() == pytest.approx(own_gradient(two).item(), rel=1e-6)


def test_a_batch_in_one_pass_and_the_same_in_two_agree_to_float64(text_model: Path) -> None:
    """The same passes, so that nothing but the two-pass trick differs."""
    groups = twins.some_groups(3, 4, random_seed=6)
    one, two = in_double(a_learner(text_model)), in_double(a_learner(text_model))
    one.step([Term(Balance(whole_batch=False), groups)])
    two.step([Term(Balance(whole_batch=True), groups)])
    assert twins.largest_difference(twins.gradients(one.model), twins.gradients(two.model)) < 1e-12


def test_a_loss_over_the_whole_batch_does_not_depend_on_how_it_is_cut(text_model: Path) -> None:
    groups = twins.some_groups(4, 4, random_seed=9)
    whole = in_double(a_learner(text_model, max_tokens_per_pass=100_000))
    cut = in_double(a_learner(text_model, max_tokens_per_pass=16))
    gradients = [twins.stepped(learner, Term(Spread(whole_batch=True), groups)) for learner in (whole, cut)]
    assert twins.largest_difference(*gradients) < 1e-6
    # Pass by pass it is another loss: the variance of parts is not the variance of the whole.
    wrong = twins.stepped(in_double(a_learner(text_model, max_tokens_per_pass=16)), Term(Spread(whole_batch=False), groups))
    assert twins.largest_difference(gradients[0], wrong) > 0.01


def some_pairs(count: int) -> list[SampleGroup]:
    """The chosen answer first; given, so without log-probs of an engine."""
    groups = []
    for i, prompt in enumerate(some_prompts(count, longest=8)):
        chosen = Sample((20 + i, 21, 22 + i, 2), rewards={"preference": 1.0}, pair=f"p{i}")
        rejected = Sample((20 + i, 31, 2), rewards={"preference": 0.0}, pair=f"p{i}", temperature=0.7)
        groups.append(SampleGroup(prompt, (chosen, rejected)))
    return groups


@pytest.mark.parametrize("nll_weight", [0.0, 0.3])
def test_dpo_equals_its_twin(text_model: Path, nll_weight: float) -> None:
    learner = in_double(a_learner(text_model, max_tokens_per_pass=30))
    assert learner._reference._scorer is not None
    twin, reference = twins.double_twin(learner.model), twins.double_twin(learner._reference._scorer.model)
    settings, pairs = DPOSettings(beta=0.3, nll_weight=nll_weight), some_pairs(5)
    loss = twins.dpo_loss(twin, reference, Reader(text_model), pairs, settings)
    loss.backward()
    report = learner.step([Term(DPO(settings), pairs)])
    assert report.loss == pytest.approx(loss.item(), rel=1e-6)
    assert twins.largest_difference(twins.gradients(twin), twins.gradients(learner.model)) < 1e-6


def test_dpo_comes_to_prefer_what_is_chosen(text_model: Path) -> None:
    learner = Learner(text_model, LearnerSettings(learning_rate=1e-3), seed=0)
    term = Term(DPO(DPOSettings()), some_pairs(4))
    shares = [learner.step([term]).figure("preferred_share") for _ in range(6)]
    # At the first policy every margin is zero.
    assert shares[0] == 0.0
    assert shares[-1] == 1.0


@pytest.mark.parametrize("rewards", [(1.0, 1.0), (1.0,), (1.0, 0.0, 0.5)])
def test_a_pair_is_two_samples_of_which_one_is_better(rewards: Sequence[float]) -> None:
    samples = tuple(Sample((9, 2), rewards={"preference": r}, pair="p") for r in rewards)
    with pytest.raises(ValueError, match="with different rewards"):
        DPO(DPOSettings()).constants([SampleGroup(a_prompt(), samples)], step=0)


@pytest.mark.parametrize("kl_beta", [0.0, 0.2])
def test_rloo_equals_its_twin(text_model: Path, kl_beta: float) -> None:
    learner = in_double(a_learner(text_model, max_tokens_per_pass=40))
    assert learner._reference._scorer is not None
    twin, reference = twins.double_twin(learner.model), twins.double_twin(learner._reference._scorer.model)
    groups = twins.some_groups(4, 4, random_seed=8)
    twins.rloo_loss(twin, reference, Reader(text_model), groups, kl_beta, 2.0).backward()
    report = learner.step([Term(RLOO(RLOOSettings(kl_beta=kl_beta)), groups)])
    assert report.moved
    assert twins.largest_difference(twins.gradients(twin), twins.gradients(learner.model)) < 1e-6


def test_own_parameters_learn_at_their_own_rate_and_are_saved(text_model: Path, tmp_path: Path) -> None:
    groups = twins.some_groups(2, 3)
    settings = LearnerSettings(learning_rate=1e-4, decay_steps=10, decay_to=0.5)
    learner = Learner(text_model, settings, seed=0)
    learner.step([Term(Balance(whole_batch=True, rate=0.1), groups)])
    (log_z,) = learner._optimiser.own().values()
    # AdamW's first update is its rate.
    assert abs(log_z.item() - 0.5) == pytest.approx(0.1, rel=1e-3)
    learner.save_state(tmp_path / "state")
    restored = Learner(text_model, settings, seed=1)
    restored.load_state(tmp_path / "state")
    for _ in range(2):
        reports = [one.step([Term(Balance(whole_batch=True, rate=0.1), groups)]) for one in (learner, restored)]
        assert reports[0].terms == reports[1].terms
    assert learner._optimiser.own().keys() == {"balance.log_z"}
    assert learner._optimiser.own()["balance.log_z"].item() == restored._optimiser.own()["balance.log_z"].item()


def test_samples_of_one_prompt_are_scored_each_at_its_own_temperature(text_model: Path) -> None:
    learner = in_double(a_learner(text_model))
    twin = twins.double_twin(learner.model)
    prompt = a_prompt("w1 w2")
    samples = tuple(
        Sample((9, 10 + i, 2), (-1.0,) * 3, temperature=t, rewards={"t": float(i)}) for i, t in enumerate((1.0, 0.5, 2.0))
    )
    groups = [SampleGroup(prompt, samples)]
    term = twins.grpo(groups)
    twins.grpo_loss(twin, None, Reader(text_model), groups, term.objective.settings).backward()  # type: ignore[attr-defined]
    assert twins.largest_difference(twins.gradients(twin), twins.stepped(learner, term)) < 1e-6
