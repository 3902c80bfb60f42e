"""A probe tells whether a policy was loaded right: the publisher's own log-probs of fixed tokens, compared after loading."""

import math
from collections.abc import Sequence

from harden.domain.completion import Sampling
from harden.domain.errors import PoisonError
from harden.domain.policy import Probe, ProbePrompt, RefusalReason
from harden.serving.ports import Engine, GenerateRequest, Prompt

# float32 on another machine or with another batch shape moves a log-prob by about 1e-5.
TOLERANCE = 1e-3
NUM_TOKENS = 8
RANDOM_SEED = 0


def make_probe(
    engine: Engine, prompts: Sequence[Prompt], *, num_tokens: int = NUM_TOKENS, tolerance: float = TOLERANCE
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
        tolerance,
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
