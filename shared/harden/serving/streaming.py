"""From the samples so far, after every token, to what is new since the last time: what a streaming caller is sent."""

from collections.abc import Callable
from dataclasses import replace

from harden.serving.batching import Answer
from harden.serving.ports import Sample


class Stream:
    """Called with the answer so far; passes on what it adds. Joined, the pieces are the whole answer."""

    def __init__(self, send: Callable[[Answer], None]) -> None:
        self._send = send
        self._sent: list[Sample] = []

    def __call__(self, so_far: Answer) -> None:
        samples = so_far.samples[0]
        before = self._sent or [replace(sample, text="", token_ids=(), logprobs=()) for sample in samples]
        new = [_added(old, sample) for old, sample in zip(before, samples, strict=True)]
        self._sent = [
            replace(sample, text=old.text + piece.text) for old, sample, piece in zip(before, samples, new, strict=True)
        ]
        if any(piece.token_ids for piece in new):
            self._send(Answer([new], so_far.policy))


def _added(old: Sample, sample: Sample) -> Sample:
    # A character may need several tokens; until it is whole its text is not a continuation and waits for the next.
    text = sample.text.removeprefix(old.text) if sample.text.startswith(old.text) else ""
    return replace(
        sample, text=text, token_ids=sample.token_ids[len(old.token_ids) :], logprobs=sample.logprobs[len(old.logprobs) :]
    )
