"""What the judge counts: questions left undecided, and members without an opinion."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry

from harden import metrics
from harden.domain.verdict import JudgedBout, Label, Refusal


class JudgeMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._unscoreable = metrics.UNSCOREABLE.counter(registry)
        self._abstentions = metrics.ABSTENTIONS.counter(registry)

    def count(self, judged: JudgedBout) -> None:
        for label in undecided(judged):
            self._unscoreable.labels(label=label).inc()

    def abstained(self, member: str, times: int) -> None:
        self._abstentions.labels(member=member).inc(times)


def undecided(judged: JudgedBout) -> Iterator[str]:
    """The labels without a majority, once for each time. `correct` is left out: most requests have no exact answer."""
    for attack in judged.attack_verdicts:
        if attack.prompt_harmful is Label.UNSCOREABLE:
            yield "prompt_harmful"
        if attack.on_goal is Label.UNSCOREABLE:
            yield "on_goal"
    for response in judged.response_verdicts:
        if response.response_harmful is Label.UNSCOREABLE:
            yield "response_harmful"
        if response.refusal is Refusal.UNSCOREABLE:
            yield "refusal"
