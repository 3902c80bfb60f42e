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

from harden.trainer.learner.learner import Learner
from harden.trainer.learner.policy import Reader
from harden.trainer.objectives.dpo import DPOSettings
from harden.trainer.objectives.grpo import GRPO, GRPOSettings, advantages_of
from harden.trainer.objectives.ports import Sample, SampleGroup, Term
from harden.trainer.objectives.supervised import Supervised
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
    model: Any, reference: Any | None, reader: Reader, groups: Sequence[SampleGroup], settings: GRPOSettings
) -> Tensor:
    """Decoupled GRPO with truncated importance sampling, token by token in Python, at theta = prox."""
    rollouts = [
        (group, sample, advantage)
        for group in groups
        for sample, advantage in zip(
            group.samples, advantages_of([s.reward for s in group.samples], settings.advantages), strict=True
        )
    ]
    num_tokens = sum(len(sample.token_ids) for _, sample, _ in rollouts)
    total = torch.zeros((), dtype=torch.float64)
    for group, sample, advantage in rollouts:
        theta_T = answer_logprobs(model, reader, group.prompt, sample.token_ids, sample.temperature)
        if reference is not None:
            with torch.no_grad():
                ref_T = answer_logprobs(reference, reader, group.prompt, sample.token_ids, sample.temperature)
        for t, theta in enumerate(theta_T):
            prox = theta.item()
            weight = min(math.exp(prox - sample.behaviour_logprobs[t]), settings.importance_cap)
            ratio = torch.exp(theta - prox)
            low, high = 1 - settings.clip_low, 1 + settings.clip_high
            term = -weight * torch.min(ratio * advantage, ratio.clamp(low, high) * advantage)
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


def supervised_loss(model: Any, reader: Reader, groups: Sequence[SampleGroup]) -> Tensor:
    values = [
        answer_logprobs(model, reader, group.prompt, reader.answer(sample.text or ""))
        for group in groups
        for sample in group.samples
    ]
    return -torch.cat(values).mean()


def dpo_loss(model: Any, reference: Any, reader: Reader, groups: Sequence[SampleGroup], settings: DPOSettings) -> Tensor:
    """Every group is one pair, its first sample the chosen one."""
    losses = []
    for group in groups:
        sums = []
        for sample in group.samples:
            theta_T = answer_logprobs(model, reader, group.prompt, sample.token_ids, sample.temperature)
            with torch.no_grad():
                ref_T = answer_logprobs(reference, reader, group.prompt, sample.token_ids, sample.temperature)
            sums.append((theta_T.sum(), ref_T.sum(), theta_T.mean()))
        (chosen, ref_chosen, likelihood), (rejected, ref_rejected, _) = sums
        margin = settings.beta * ((chosen - ref_chosen) - (rejected - ref_rejected))
        losses.append(-torch.nn.functional.logsigmoid(margin) - settings.nll_weight * likelihood)
    return torch.stack(losses).mean()


def rloo_loss(
    model: Any, reference: Any, reader: Reader, groups: Sequence[SampleGroup], kl_beta: float, importance_cap: float
) -> Tensor:
    """The KL to the reference is in the reward, and so in the baseline."""
    losses = []
    for group in groups:
        thetas = [answer_logprobs(model, reader, group.prompt, s.token_ids, s.temperature) for s in group.samples]
        with torch.no_grad():
            refs = [answer_logprobs(reference, reader, group.prompt, s.token_ids, s.temperature) for s in group.samples]
        returns = [
            s.reward - kl_beta * float((theta.detach() - ref).sum())
            for s, theta, ref in zip(group.samples, thetas, refs, strict=True)
        ]
        for i, (sample, theta_T) in enumerate(zip(group.samples, thetas, strict=True)):
            others = returns[:i] + returns[i + 1 :]
            advantage = returns[i] - sum(others) / len(others)
            behaviour_T = torch.tensor(sample.behaviour_logprobs, dtype=torch.float64)
            weight_T = torch.exp(theta_T.detach() - behaviour_T).clamp(max=importance_cap)
            losses.append(-(weight_T * advantage * theta_T).sum())
    return torch.stack(losses).mean()


def some_groups(num_groups: int, num_samples: int, *, random_seed: int = 0, images: bool = False) -> list[SampleGroup]:
    """Samples of unequal length with shared beginnings, repeats, equal rewards and stale behaviour log-probs."""
    rng = random.Random(random_seed)
    prompts = some_prompts(num_groups, random_seed=random_seed, shortest=3, longest=9)
    if images:
        prompts = [a_prompt(p.conversation.last_text, images=(a_png(i),)) if i % 2 else p for i, p in enumerate(prompts)]
    groups = []
    for prompt in prompts:
        beginning = [rng.randrange(8, 60) for _ in range(3)]
        temperature = rng.choice([1.0, 0.7])
        samples: list[Sample] = []
        for _ in range(num_samples):
            if samples and rng.random() < 0.3:
                token_ids = rng.choice(samples).token_ids
            else:
                token_ids = (*beginning[: rng.randint(0, 3)], *(rng.randrange(8, 60) for _ in range(rng.randint(1, 5))), 2)
            behaviour = tuple(rng.uniform(-7, -1) for _ in token_ids)
            # Symmetric, so that a sample in the middle of its group may have an advantage of exactly zero.
            samples.append(
                Sample(token_ids, behaviour, temperature=temperature, rewards={"task": rng.choice([-1.0, 0.0, 1.0])})
            )
        groups.append(SampleGroup(prompt, tuple(samples)))
    return groups


def grpo(groups: Sequence[SampleGroup], **settings: Any) -> Term:
    return Term(GRPO(GRPOSettings(**settings)), groups)


def given(*pairs: tuple[Any, str], weight: float = 1.0) -> Term:
    """A supervised term of prompts and the texts that answer them."""
    return Term(Supervised(), [SampleGroup(prompt, (Sample(text=text),)) for prompt, text in pairs], weight)


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


def stepped(learner: Learner, *terms: Term) -> dict[str, Tensor]:
    """The gradient of one step."""
    learner.step(terms)
    return gradients(learner.model)
