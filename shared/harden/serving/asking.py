"""Asking a slot and counting what travels in the event."""

from collections.abc import Callable, Sequence

import stamina

from harden.domain.completion import Completion, SamplingStats
from harden.domain.errors import TransientError
from harden.serving.ports import GenerateRequest, PolicyClient

# A slot without a policy yet, or a server that restarts, is back within a minute or needs a person.
ATTEMPTS = 40
LONGEST_WAIT_S = 2.0


def ask(
    policies: PolicyClient, slot: str, requests: Sequence[GenerateRequest], now: Callable[[], float]
) -> tuple[list[list[Completion]], SamplingStats]:
    """The completions of every request [P][N] and the requests they took; every failed try is counted in the statistics.

    Raises TransientError when the slot does not answer within the attempts.
    """
    began_at = now()
    num_tries = 0
    for attempt in stamina.retry_context(on=TransientError, attempts=ATTEMPTS, timeout=None, wait_max=LONGEST_WAIT_S):
        with attempt:
            num_tries += 1
            completions = policies.generate(slot, requests)
    return completions, SamplingStats(num_tries, num_tries - 1, began_at, now())
