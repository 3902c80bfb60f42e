"""A term of a step, made ready: samples as tokens, packed into passes, with what is known about each token.

Shapes: S samples of the term, N answer tokens of a pass, C contrast tokens of a pass; X = N + C, answer tokens first.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harden.trainer.learner.layout import Pass
from harden.trainer.objectives.ports import Constants, Sample, SampleGroup, Term, View


@dataclass(slots=True)
class Part:
    """One pass of a term. Its batch predicts X tokens; `proximal_N` and `reference_N` are filled in when first computed."""

    batch: Pass
    sample_of_N: Tensor
    position_N: Tensor
    behaviour_N: Tensor | None
    contrast_at_C: Tensor
    proximal_N: Tensor | None = None
    reference_N: Tensor | None = None

    @property
    def num_tokens(self) -> int:
        return len(self.sample_of_N)

    def view(self, policy_X: Tensor, parameters: Mapping[str, Tensor]) -> View:
        assert self.proximal_N is not None  # filled in before the first loss
        return View(
            sample_of_N=self.sample_of_N,
            position_N=self.position_N,
            policy_N=policy_X[: self.num_tokens],
            proximal_N=self.proximal_N,
            behaviour_N=self.behaviour_N,
            reference_N=self.reference_N,
            contrast_C=policy_X[self.num_tokens :],
            contrast_at_C=self.contrast_at_C,
            parameters=parameters,
        )


@dataclass(frozen=True, slots=True)
class PreparedTerm:
    term: Term
    groups: Sequence[SampleGroup]  # of the term, every sample as tokens
    constants: Constants
    num_samples: int
    num_tokens: int  # answer tokens of all samples
    is_drawn: bool  # whether an engine drew any of the samples
    parts: Sequence[Part]


def encoded(groups: Sequence[SampleGroup], answer: Callable[[str], Sequence[int]]) -> list[SampleGroup]:
    """The groups with the tokens of every sample that was given as text."""
    return [
        SampleGroup(
            group.prompt,
            tuple(
                sample if sample.text is None else dataclasses.replace(sample, text=None, token_ids=tuple(answer(sample.text)))
                for sample in group.samples
            ),
        )
        for group in groups
    ]


def check(term: Term, samples: Sequence[Sample], banned: frozenset[int]) -> None:
    """Raises ValueError for samples that the term's objective or the policy cannot take."""
    for sample in samples:
        if not banned.isdisjoint(sample.token_ids):
            raise ValueError(
                f"term {term.key!r}: a sample has a token of generation_config.suppress_tokens, which this policy cannot say"
            )
        if term.objective.needs.behaviour and sample.is_given:
            raise ValueError(
                f"term {term.key!r}: {term.objective.name} needs the log-probs of the engine that drew a sample, "
                "and this one was given; use an objective that does not, such as supervised or dpo"
            )


def part_of(batch: Pass, samples: Sequence[Sample], device: torch.device, *, with_behaviour: bool) -> Part:
    """`samples` by number; `batch.members` are numbers."""
    lengths = torch.tensor(batch.lengths, dtype=torch.int64)
    starts = (lengths.cumsum(0) - lengths).tolist()
    at: list[int] = []
    contrast_ids: list[int] = []
    for number, start in zip(batch.members, starts, strict=True):
        for contrast in samples[number].contrasts:
            at.append(start + contrast.position)
            contrast_ids.append(contrast.token_id)
    contrast_at_C = torch.tensor(at, dtype=torch.int64, device=device)
    behaviour_N = None
    if with_behaviour:
        # float64, so that no precision is lost.
        logprobs = [value for number in batch.members for value in samples[number].behaviour_logprobs or ()]
        behaviour_N = torch.tensor(logprobs, dtype=torch.float64, device=device)
    if at:
        batch = dataclasses.replace(
            batch,
            predictor_of_N=torch.cat([batch.predictor_of_N, batch.predictor_of_N[contrast_at_C]]),
            targets_N=torch.cat([batch.targets_N, torch.tensor(contrast_ids, dtype=torch.int64, device=device)]),
        )
    members = torch.tensor(batch.members, dtype=torch.int64)
    positions = torch.arange(int(lengths.sum())) - torch.tensor(starts, dtype=torch.int64).repeat_interleave(lengths)
    return Part(
        batch,
        sample_of_N=members.repeat_interleave(lengths).to(device),
        position_N=positions.to(device),
        behaviour_N=behaviour_N,
        contrast_at_C=contrast_at_C,
    )


def whole_view(parts: Sequence[Part], policy: Sequence[Tensor], parameters: Mapping[str, Tensor]) -> View:
    """All parts of a term in one view. `policy`: log-probs [X] of each part."""

    def joined(tensors: Sequence[Tensor | None]) -> Tensor | None:
        present = [tensor for tensor in tensors if tensor is not None]
        return torch.cat(present) if present else None

    sizes = [part.num_tokens for part in parts]
    firsts = [sum(sizes[:i]) for i in range(len(sizes))]
    proximal_N = joined([part.proximal_N for part in parts])
    assert proximal_N is not None  # filled in before the first loss
    return View(
        sample_of_N=torch.cat([part.sample_of_N for part in parts]),
        position_N=torch.cat([part.position_N for part in parts]),
        policy_N=torch.cat([logprobs[:size] for logprobs, size in zip(policy, sizes, strict=True)]),
        proximal_N=proximal_N,
        behaviour_N=joined([part.behaviour_N for part in parts]),
        reference_N=joined([part.reference_N for part in parts]),
        contrast_C=torch.cat([logprobs[size:] for logprobs, size in zip(policy, sizes, strict=True)]),
        contrast_at_C=torch.cat([part.contrast_at_C + first for part, first in zip(parts, firsts, strict=True)]),
        parameters=parameters,
    )
