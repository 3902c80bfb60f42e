"""What every installed objective must keep, ours and everybody's: the learner relies on it."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from harden import plugins
from harden.trainer.objectives.ports import Objective, Sample, SampleGroup, View, samples_of
from tests.support.tiny_models import some_prompts

NAMES = plugins.names(plugins.OBJECTIVES)


def an_objective(name: str) -> Objective:
    kind = plugins.load(plugins.OBJECTIVES, name)
    made: Objective = kind(kind.Settings())
    return made


def some_groups() -> list[SampleGroup]:
    """Drawn samples with rewards; the first two of each group are a pair. The last group prefers nothing."""
    groups = []
    for g, prompt in enumerate(some_prompts(3)):
        samples = tuple(
            Sample(
                tuple(range(9, 12 + i)),
                (-1.0,) * (3 + i),
                rewards={"task": float(i) if g < 2 else 1.0},
                pair=f"p{g}" if i < 2 and g < 2 else "",
            )
            for i in range(3)
        )
        groups.append(SampleGroup(prompt, samples))
    return groups


def a_view(objective: Objective, groups: Sequence[SampleGroup], numbers: Sequence[int], policy_N: Tensor) -> View:
    """Of the samples with these numbers; `policy_N` is of their tokens."""
    samples = samples_of(groups)
    lengths = torch.tensor([len(samples[number].token_ids) for number in numbers])
    now = policy_N.detach()
    return View(
        sample_of_N=torch.tensor(numbers).repeat_interleave(lengths),
        position_N=torch.cat([torch.arange(length) for length in lengths.tolist()]),
        policy_N=policy_N,
        proximal_N=now,
        behaviour_N=torch.full_like(now, -1.0) if objective.needs.behaviour else None,
        reference_N=now - 0.1 if objective.needs.reference else None,
        contrast_C=now[:0],
        contrast_at_C=torch.empty(0, dtype=torch.int64),
        parameters={name: p.initial.clone().requires_grad_() for name, p in objective.parameters(groups).items()},
    )


def some_logprobs(groups: Sequence[SampleGroup], numbers: Sequence[int]) -> Tensor:
    samples = samples_of(groups)
    count = sum(len(samples[number].token_ids) for number in numbers)
    return (-2 + torch.randn(count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).requires_grad_()


def moving(constants: Any) -> list[int]:
    return [number for number, moves in enumerate(constants.moves) if moves]


@pytest.mark.parametrize("name", NAMES)
def test_settings_have_usable_defaults_and_refuse_unknown_names(name: str) -> None:
    kind = plugins.load(plugins.OBJECTIVES, name)
    assert kind.name == name
    assert kind.Settings() == kind.Settings.model_validate({})
    with pytest.raises(ValidationError):
        kind.Settings.model_validate({"no_such_setting": 1})


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_what_moves_is_finite_and_has_a_gradient(name: str) -> None:
    objective, groups = an_objective(name), some_groups()
    constants = objective.constants(groups, step=0)
    assert len(constants.moves) == len(samples_of(groups))
    numbers = moving(constants)
    policy_N = some_logprobs(groups, numbers)
    loss, figures = objective.loss(a_view(objective, groups, numbers, policy_N), constants)
    assert loss.shape == ()
    assert math.isfinite(loss.item())
    (gradient_N,) = torch.autograd.grad(loss, policy_N)
    assert gradient_N.isfinite().all()
    assert (gradient_N != 0).any()
    assert all(math.isfinite(value) for value in figures.to_json().values())
    assert all(isinstance(value, float) for value in constants.figures.values())


# The learner gives a loss of the whole batch everything in one view, so that it has no passes to add up.
@pytest.mark.parametrize("name", [name for name in NAMES if not an_objective(name).needs.whole_batch])
def test_losses_and_figures_of_passes_add_up(name: str) -> None:
    objective, groups = an_objective(name), some_groups()
    constants = objective.constants(groups, step=0)
    numbers = moving(constants)
    policy_N = some_logprobs(groups, numbers)
    whole, figures = objective.loss(a_view(objective, groups, numbers, policy_N), constants)
    first = sum(len(samples_of(groups)[number].token_ids) for number in numbers[:2])
    one, sums = objective.loss(a_view(objective, groups, numbers[:2], policy_N[:first]), constants)
    other, rest = objective.loss(a_view(objective, groups, numbers[2:], policy_N[first:]), constants)
    sums.add(rest)
    assert (one + other).item() == pytest.approx(whole.item(), rel=1e-12)
    assert sums.to_json() == pytest.approx(figures.to_json(), rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_move_would_have_no_gradient(name: str) -> None:
    objective, groups = an_objective(name), some_groups()
    constants = objective.constants(groups, step=0)
    numbers = list(range(len(constants.moves)))
    policy_N = some_logprobs(groups, numbers)
    view = a_view(objective, groups, numbers, policy_N)
    (gradient_N,) = torch.autograd.grad(objective.loss(view, constants)[0], policy_N)
    still_N = ~torch.tensor(constants.moves)[view.sample_of_N]
    assert (gradient_N[still_N] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_step_without_samples_has_constants(name: str) -> None:
    assert list(an_objective(name).constants([], step=0).moves) == []
