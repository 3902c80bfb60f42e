"""Slow, plain, float64: what the fast code must equal.

Shapes: T answer tokens of one sample, V vocabulary.
"""

import copy
import math
import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from harden.trainer.learner.learner import Anchor, Group, Learner, Rollout
from harden.trainer.learner.policy import Reader
from harden.trainer.learner.settings import ObjectiveSettings
from tests.support.tiny_models import a_png, a_prompt, some_prompts


def double_twin(model: Any) -> Any:
    """The same weights in float64, with attention written out."""
    twin = copy.deepcopy(model).double()
    twin.set_attn_implementation("eager")
    twin.zero_grad()
    return twin


def answer_logprobs(model: Any, reader: Reader, prompt: Any, token_ids: Sequence[int], temperature: float = 1.0) -> Tensor:
    """One sample at a time through the model's own forward, all logits, nothing shared. [T]"""
    encoded = reader.encode([prompt])[0]
    input_ids = torch.tensor([[*encoded.token_ids, *token_ids]])
    extras = {name: value.to(model.dtype) for name, value in encoded.extras.items()}
    logits_TV = model(input_ids=input_ids, **extras).logits[0, len(encoded.token_ids) - 1 : -1] / temperature
    logits_TV[:, sorted(model.generation_config.suppress_tokens or ())] = -math.inf
    return logits_TV.log_softmax(-1)[range(len(token_ids)), list(token_ids)]


def grpo_loss(
    model: Any, reference: Any | None, reader: Reader, groups: Sequence[Group], settings: ObjectiveSettings
) -> Tensor:
    """Decoupled GRPO with truncated importance sampling, token by token in Python, at theta = prox."""
    rollouts = [(group, rollout) for group in groups for rollout in group.rollouts]
    num_tokens = sum(len(rollout.token_ids) for _, rollout in rollouts)
    total = torch.zeros((), dtype=torch.float64)
    for group, rollout in rollouts:
        theta_T = answer_logprobs(model, reader, group.prompt, rollout.token_ids, group.temperature)
        if reference is not None:
            with torch.no_grad():
                ref_T = answer_logprobs(reference, reader, group.prompt, rollout.token_ids, group.temperature)
        for t, theta in enumerate(theta_T):
            prox = theta.item()
            weight = min(math.exp(prox - rollout.behaviour_logprobs[t]), settings.importance_cap)
            ratio = torch.exp(theta - prox)
            low, high = 1 - settings.clip_low, 1 + settings.clip_high
            term = -weight * torch.min(ratio * rollout.advantage, ratio.clamp(low, high) * rollout.advantage)
            if reference is not None:
                gap = theta - ref_T[t]
                term = term + settings.kl_beta * (torch.exp(-gap) - 1 + gap)
            share = {
                "token": num_tokens,
                "sample": len(theta_T) * len(rollouts),
                "constant": settings.longest * len(rollouts),
            }[settings.normalise]
            total = total + term / share
    return total


def anchor_loss(model: Any, reader: Reader, anchors: Sequence[Anchor]) -> Tensor:
    values = [answer_logprobs(model, reader, anchor.prompt, reader.answer(anchor.target)) for anchor in anchors]
    return -torch.cat(values).mean()


def some_groups(num_groups: int, num_rollouts: int, *, random_seed: int = 0, images: bool = False) -> list[Group]:
    """Samples of unequal length with shared beginnings, repeats, zero advantages and stale behaviour log-probs."""
    rng = random.Random(random_seed)
    prompts = some_prompts(num_groups, random_seed=random_seed, shortest=3, longest=9)
    if images:
        prompts = [a_prompt(p.conversation.last_text, images=(a_png(i),)) if i % 2 else p for i, p in enumerate(prompts)]
    groups = []
    for prompt in prompts:
        beginning = [rng.randrange(8, 60) for _ in range(3)]
        rollouts: list[Rollout] = []
        for _ in range(num_rollouts):
            if rollouts and rng.random() < 0.3:
                token_ids = rng.choice(rollouts).token_ids
            else:
                token_ids = (*beginning[: rng.randint(0, 3)], *(rng.randrange(8, 60) for _ in range(rng.randint(1, 5))), 2)
            behaviour = tuple(rng.uniform(-7, -1) for _ in token_ids)
            rollouts.append(Rollout(token_ids, behaviour, rng.choice([-1.3, 0.0, 0.4, 1.7])))
        groups.append(Group(prompt, tuple(rollouts), rng.choice([1.0, 0.7])))
    return groups


def gradients(model: Any) -> dict[str, Tensor]:
    return {
        name: parameter.grad.detach().double().clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def largest_difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Relative to the norm of the whole gradient."""
    assert one.keys() == other.keys()
    scale = math.sqrt(sum(float(g.square().sum()) for g in one.values()))
    return max(float((one[name] - other[name]).abs().max()) for name in one) / scale


def stepped(learner: Learner, groups: Sequence[Group], anchors: Sequence[Anchor] = ()) -> dict[str, Tensor]:
    """The gradient of one step."""
    learner.step(groups, anchors)
    return gradients(learner.model)
