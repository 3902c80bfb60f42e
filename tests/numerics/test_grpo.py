"""The objective on distributions small enough to enumerate: oracles of the GRPO family."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from harden.trainer.objectives.grpo import (
    GRPO,
    Baseline,
    GRPOConstants,
    GRPOSettings,
    advantages_of,
    importance_weights,
    kl_values,
    shares,
)
from harden.trainer.objectives.ports import Figures, Sample, SampleGroup, View
from tests.support.tiny_models import a_prompt

NUM_ACTIONS = 5


def policies(random_seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits of a policy (with gradient) and of its reference over five actions."""
    generator = torch.Generator().manual_seed(random_seed)
    theta, ref = torch.randn(2, NUM_ACTIONS, generator=generator, dtype=torch.float64)
    return theta.requires_grad_(), ref


@dataclass(frozen=True)
class Tokens:
    """One-token samples: what GRPO is given of each."""

    view: View
    constants: GRPOConstants

    def loss(self, **settings: Any) -> tuple[Tensor, Figures]:
        return GRPO(GRPOSettings(**settings)).loss(self.view, self.constants)


def some_tokens(
    theta_N: Tensor,
    advantages_N: Sequence[float],
    *,
    behav: Tensor | None = None,
    prox: Tensor | None = None,
    ref: Tensor | None = None,
) -> Tokens:
    now, none = theta_N.detach(), torch.empty(0, dtype=torch.int64)
    view = View(
        sample_of_N=torch.arange(len(now)),
        position_N=torch.zeros(len(now), dtype=torch.int64),
        policy_N=theta_N,
        proximal_N=now if prox is None else prox,
        behaviour_N=now if behav is None else behav,
        reference_N=ref,
        contrast_C=now[:0],
        contrast_at_C=none,
    )
    constants = GRPOConstants(
        moves=[True] * len(now),
        advantages_S=torch.tensor(advantages_N, dtype=torch.float64),
        shares_S=torch.full_like(now, 1 / len(now)),
    )
    return Tokens(view, constants)


def gradient_of(loss: Tensor, of: Tensor) -> Tensor:
    return torch.autograd.grad(loss, of, retain_graph=True)[0]


# KL


def test_k1_and_k3_have_the_exact_kl_as_their_mean() -> None:
    theta, ref = policies()
    log_p, log_q = theta.log_softmax(-1), ref.log_softmax(-1)
    exact = (log_p.exp() * (log_p - log_q)).sum()
    for estimator in ("k1", "k3"):
        # The expectation over all actions, not an estimate of it.
        assert (log_p.exp() * kl_values(log_p, log_q, estimator)).sum().item() == pytest.approx(exact.item(), abs=1e-12)
    drawn = torch.multinomial(log_p.exp().detach(), 200_000, replacement=True, generator=torch.Generator().manual_seed(0))
    for estimator in ("k1", "k3"):
        values = kl_values(log_p, log_q, estimator).detach()[drawn]
        assert abs((values.mean() - exact.detach()).item()) < 5 * values.std().item() / math.sqrt(len(drawn))


def test_k3_is_never_negative() -> None:
    theta, ref = policies(3)
    assert (kl_values(theta.log_softmax(-1), ref.log_softmax(-1), "k3") >= 0).all()


@pytest.mark.parametrize(("estimator", "expected"), [("k1", "zero"), ("k2", "reverse"), ("k3", "forward")])
def test_gradients_of_the_estimators_point_where_they_should(estimator: str, expected: str) -> None:
    theta, ref = policies()
    log_p, log_q = theta.log_softmax(-1), ref.log_softmax(-1)
    # Differentiating the sampled value: the probabilities of drawing the samples are constants.
    gradient = gradient_of((log_p.exp().detach() * kl_values(log_p, log_q, estimator)).sum(), theta)
    exact = {
        "zero": torch.zeros(NUM_ACTIONS, dtype=torch.float64),
        "reverse": gradient_of((log_p.exp() * (log_p - log_q)).sum(), theta),
        "forward": gradient_of((log_q.exp() * (log_q - log_p)).sum(), theta),
    }[expected]
    assert torch.allclose(gradient, exact, atol=1e-12)


def test_k1_in_the_reward_does_what_k2_in_the_loss_does() -> None:
    theta, ref = policies()
    actions = torch.tensor([0, 1, 2, 3, 4, 1])
    gradients = []
    for estimator, kl_in in (("k1", "reward"), ("k2", "loss")):
        theta_N = theta.log_softmax(-1)[actions]
        tokens = some_tokens(theta_N, [0.3, -0.2, 0.0, 1.0, 0.5, -1.0], ref=ref.log_softmax(-1)[actions])
        gradients.append(gradient_of(tokens.loss(kl_beta=0.3, kl_estimator=estimator, kl_in=kl_in)[0], theta))
    assert torch.allclose(gradients[0], gradients[1], atol=1e-12)


def test_k1_in_the_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="mean zero"):
        GRPOSettings(kl_beta=0.1, kl_estimator="k1")


@pytest.mark.parametrize("ratio", ["decoupled", "behaviour"])
@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_a_weighted_kl_is_the_exact_one_under_any_sampler(estimator: str, ratio: str) -> None:
    """The expectation over what a stale engine draws, in value and in gradient, is the KL of the policy to its reference."""
    theta, ref = policies()
    behav, prox = torch.randn(2, NUM_ACTIONS, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    log_p, log_q, log_b = theta.log_softmax(-1), ref.log_softmax(-1), behav.log_softmax(-1)
    exact = (log_p.exp() * (log_p - log_q)).sum()
    # Each action once, weighted as often as the engine draws it.
    tokens = some_tokens(log_p, [0.0] * NUM_ACTIONS, behav=log_b, prox=prox.log_softmax(-1), ref=log_q)
    tokens = Tokens(tokens.view, replace(tokens.constants, shares_S=log_b.exp()))
    loss, _ = tokens.loss(kl_beta=1.0, kl_estimator=estimator, kl_importance=True, ratio=ratio)
    assert loss.item() == pytest.approx(exact.item(), abs=1e-12)
    assert torch.allclose(gradient_of(loss, theta), gradient_of(exact, theta), atol=1e-12)


def test_a_kl_that_is_not_weighted_is_told_apart() -> None:
    theta, ref = policies()
    log_p, log_q = theta.log_softmax(-1), ref.log_softmax(-1)
    log_b = torch.randn(NUM_ACTIONS, generator=torch.Generator().manual_seed(7), dtype=torch.float64).log_softmax(-1)
    tokens = some_tokens(log_p, [0.0] * NUM_ACTIONS, behav=log_b, ref=log_q)
    tokens = Tokens(tokens.view, replace(tokens.constants, shares_S=log_b.exp()))
    loss, _ = tokens.loss(kl_beta=1.0)
    assert abs(loss.item() - (log_p.exp() * (log_p - log_q)).sum().item()) > 0.05


# Advantages


@pytest.mark.parametrize("baseline", ["standard", "dr_grpo", "rloo"])
def test_equal_rewards_move_nothing(baseline: Baseline) -> None:
    theta, _ = policies()
    theta_N = theta.log_softmax(-1)[[0, 1, 2]]
    values = advantages_of([0.1 + 0.2] * 3, baseline)
    gradient = gradient_of(some_tokens(theta_N, values).loss()[0], theta)
    assert values == [0.0, 0.0, 0.0]
    assert (gradient == 0).all()


# Normalisation


def test_token_shares_do_not_depend_on_how_tokens_are_split_among_samples() -> None:
    token = GRPOSettings(normalise="token")
    assert set(shares([2, 8], token)) == set(shares([5, 5], token)) == {0.1}


def test_sample_shares_favour_the_tokens_of_short_samples() -> None:
    short, long = shares([2, 8], GRPOSettings(normalise="sample"))
    assert short == pytest.approx(4 * long)
    assert 2 * short + 8 * long == pytest.approx(1)


def test_constant_shares_do_not_look_at_lengths() -> None:
    assert shares([2, 8], GRPOSettings(normalise="constant", longest=10)) == [1 / 20, 1 / 20]


# Clipping


@pytest.mark.parametrize(
    ("log_ratio", "advantage", "is_clipped"),
    [
        (math.log(1.3), 1.0, True),  # beyond 1 + .28 and still asked to grow
        (math.log(1.27), 1.0, False),
        (math.log(1.3), -1.0, False),  # must come back
        (math.log(0.79), -1.0, True),  # beyond 1 - .2 and still asked to shrink
        (math.log(0.81), -1.0, False),
        (math.log(0.79), 1.0, False),
    ],
)
@pytest.mark.parametrize("ratio", ["decoupled", "behaviour"])
def test_a_ratio_beyond_its_bound_has_no_gradient_outwards(
    log_ratio: float, advantage: float, is_clipped: bool, ratio: str
) -> None:
    theta, _ = policies()
    theta_N = theta.log_softmax(-1)[[2]]
    old = theta_N.detach() - log_ratio
    loss, figures = some_tokens(theta_N, [advantage], behav=old, prox=old).loss(ratio=ratio)
    assert bool((gradient_of(loss, theta) == 0).all()) is is_clipped
    clipped = figures.to_json()
    assert clipped["clipped_low"] + clipped["clipped_high"] == float(is_clipped)


# Importance sampling


def tis_gradient(cap: float, *, detached: bool) -> tuple[Tensor, Tensor]:
    """The objective's gradient on stale samples, and the one it must be: min(w, C) * A * grad log pi."""
    theta, _ = policies()
    log_p = theta.log_softmax(-1)
    actions = torch.tensor([0, 1, 2, 3, 4])
    theta_N = log_p[actions]
    values = [1.0, -0.5, 2.0, -1.0, 0.7]
    behav_N = theta_N.detach() - torch.tensor([1.5, -0.4, 0.2, -2.0, 0.0], dtype=torch.float64)
    weight_N = torch.exp(theta_N.detach() - behav_N).clamp(max=cap)
    expected = gradient_of(-(weight_N * torch.tensor(values) * theta_N).mean(), theta)
    if detached:
        loss, _ = some_tokens(theta_N, values, behav=behav_N).loss(importance_cap=cap)
    else:
        leaking_N = torch.exp(theta_N - behav_N).clamp(max=cap)
        loss = -(leaking_N * torch.exp(theta_N - theta_N.detach()) * torch.tensor(values)).mean()
    return gradient_of(loss, theta), expected


@pytest.mark.parametrize("cap", [1.0, 2.0, 10.0])
def test_truncated_importance_sampling_weighs_the_policy_gradient(cap: float) -> None:
    gradient, expected = tis_gradient(cap, detached=True)
    assert torch.allclose(gradient, expected, atol=1e-12)


def test_a_weight_that_is_not_detached_is_told_apart() -> None:
    gradient, expected = tis_gradient(2.0, detached=False)
    assert (gradient - expected).abs().max() > 0.05


def test_the_weight_carries_no_gradient_even_when_prox_does() -> None:
    theta, _ = policies()
    theta_N = theta.log_softmax(-1)
    assert not importance_weights(theta_N, theta_N.detach() - 0.3, GRPOSettings()).requires_grad


def test_masking_drops_what_is_outside_the_band() -> None:
    prox_N = torch.tensor([0.0, 1.0, -1.0, 0.5], dtype=torch.float64)
    weight_N = importance_weights(prox_N, torch.zeros_like(prox_N), GRPOSettings(importance="mask", importance_cap=2.0))
    assert weight_N.tolist() == pytest.approx([1.0, 0.0, 0.0, math.exp(0.5)])


# Decoupled PPO


def test_decoupled_with_prox_at_behaviour_is_ppo() -> None:
    theta, _ = policies()
    theta_N = theta.log_softmax(-1)
    old_N = theta_N.detach() + torch.tensor([0.3, -0.4, 0.1, 0.0, -0.2], dtype=torch.float64)
    tokens = some_tokens(theta_N, [1.0, -1.0, 0.5, 2.0, -0.3], behav=old_N, prox=old_N)
    decoupled = gradient_of(tokens.loss(ratio="decoupled")[0], theta)
    ppo = gradient_of(tokens.loss(ratio="behaviour")[0], theta)
    assert torch.equal(decoupled, ppo)


def test_decoupled_at_the_start_of_a_step_is_the_weighted_policy_gradient() -> None:
    theta, _ = policies()
    theta_N = theta.log_softmax(-1)
    behav_N = theta_N.detach() - torch.tensor([0.3, -0.4, 0.1, 0.0, 0.2], dtype=torch.float64)
    values = [1.0, -1.0, 0.5, 2.0, -0.3]
    loss, _ = some_tokens(theta_N, values, behav=behav_N).loss()
    weight_N = torch.exp(theta_N.detach() - behav_N)
    expected = gradient_of(-(weight_N * torch.tensor(values) * theta_N).mean(), theta)
    assert torch.allclose(gradient_of(loss, theta), expected, atol=1e-12)


def test_figures_of_parts_add_up() -> None:
    theta, _ = policies()
    theta_N = theta.log_softmax(-1)
    behav_N = theta_N.detach() - torch.tensor([0.9, -0.4, 0.1, 0.0, 0.2], dtype=torch.float64)
    values = [1.0, -1.0, 0.5, 2.0, -0.3]
    _, whole = some_tokens(theta_N, values, behav=behav_N).loss()
    _, parts = some_tokens(theta_N[:2], values[:2], behav=behav_N[:2]).loss()
    parts.add(some_tokens(theta_N[2:], values[2:], behav=behav_N[2:]).loss()[1])
    assert parts.to_json() == pytest.approx(whole.to_json())
    assert whole.to_json()["is_max"] == pytest.approx(2.0)
    assert 0 < whole.to_json()["is_ess"] < 1


# From samples to constants


def a_group(rewards: Sequence[float], length: int = 3) -> SampleGroup:
    samples = tuple(Sample((9,) * length, (-1.0,) * length, rewards={"task": r}) for r in rewards)
    return SampleGroup(a_prompt(), samples)


def test_a_sample_without_advantage_does_not_move_unless_a_kl_moves_it() -> None:
    groups = [a_group([1.0, 1.0]), a_group([1.0, 0.0]), a_group([1.0, 0.0, -1.0])]
    constants = GRPO(GRPOSettings()).constants(groups, step=0)
    assert constants.moves == [False, False, True, True, True, False, True]
    assert constants.figures == {"zero_variance_share": pytest.approx(1 / 3)}
    assert all(GRPO(GRPOSettings(kl_beta=0.1)).constants(groups, step=0).moves)


def test_channels_of_reward_add_up() -> None:
    sample = Sample((9,), (-1.0,), rewards={"task": 1.0, "format": 0.1})
    assert sample.reward == pytest.approx(1.1)


def test_skipped_samples_count_in_the_denominator() -> None:
    constants = GRPO(GRPOSettings()).constants([a_group([1.0, 1.0], length=4), a_group([1.0, 0.0], length=6)], step=0)
    assert constants.shares_S.tolist() == pytest.approx([1 / 20] * 4)
