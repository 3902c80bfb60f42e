"""A probe tells whether a policy was loaded right: the publisher's own log-probs of fixed tokens, compared after loading."""

import math
from collections.abc import Sequence

from harden.domain.completion import Sampling
from harden.domain.errors import PoisonError
from harden.domain.policy import Probe, ProbePrompt, RefusalReason
from harden.serving.ports import Engine, GenerateRequest, Prompt

# Largest absolute difference of a token's log-prob, in nats, between two correct implementations, by number format.
_TOLERANCES = {"float32": 2e-3, "bfloat16": 0.25}
NUM_TOKENS = 8
RANDOM_SEED = 0


def tolerance_of(number_format: str) -> float:
    """How far log-probs may differ between two correct implementations, in nats. ValueError for an unmeasured format.

    Measured: prompts scored alone, padded together, with PyTorch's fused attention and with the plain one.

    float32    5.7e-6 on six tiny Llamas (two layers of 64, 12 prompts of 8 tokens each); below 1e-4 on the arena's models
               between Triton and the trainer. 2e-3 leaves room for other machines and deeper models.
    bfloat16   0.068 to 0.093 on the same six: 8 bits of mantissa in logits of size 8 are steps of 0.03, and every layer
               adds its own. 0.25 is 2.7 times the largest; wrong weights are off by whole nats.
    """
    if number_format not in _TOLERANCES:
        known = ", ".join(_TOLERANCES)
        raise ValueError(f"no probe tolerance was measured for {number_format}, only for {known}")
    return _TOLERANCES[number_format]


def make_probe(
    engine: Engine, prompts: Sequence[Prompt], *, num_tokens: int = NUM_TOKENS, number_format: str = "float32"
) -> Probe:
    """A probe over text prompts with continuations drawn from the engine itself."""
    if any(prompt.images for prompt in prompts):
        raise ValueError("a probe prompt has no images: the probe travels in the manifest, which holds no blobs")
    requests = [GenerateRequest(prompt, 1, Sampling(num_tokens), RANDOM_SEED + i) for i, prompt in enumerate(prompts)]
    token_ids = [samples[0].token_ids for samples in engine.generate(requests)]
    logprobs = engine.logprobs(prompts, token_ids)
    return Probe(
        tuple(
            ProbePrompt(prompt.conversation, ids, tuple(values))
            for prompt, ids, values in zip(prompts, token_ids, logprobs, strict=True)
        ),
        tolerance_of(number_format),
    )


def check_probe(engine: Engine, probe: Probe) -> float:
    """The largest error in nats. PoisonError("probe_mismatch") where it passes the tolerance."""
    for prompt in probe.prompts:
        if max(prompt.token_ids, default=0) >= engine.vocab_size:
            raise PoisonError(RefusalReason.PROBE_MISMATCH, f"the probe has tokens beyond the {engine.vocab_size} there are")
    measured = engine.logprobs([Prompt(p.conversation) for p in probe.prompts], [p.token_ids for p in probe.prompts])
    errors = [
        abs(value - expected)
        for prompt, values in zip(probe.prompts, measured, strict=True)
        for value, expected in zip(values, prompt.logprobs, strict=True)
    ]
    worst = max(errors, default=0.0)
    # Written so that a NaN fails.
    if not worst <= probe.tolerance or any(math.isnan(error) for error in errors):
        raise PoisonError(RefusalReason.PROBE_MISMATCH, f"log-probs differ by {worst:.2g}, {probe.tolerance:.2g} is allowed")
    return worst
