"""What the judge counts: questions left undecided, and members without an opinion."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry

from harden import metrics
from harden.domain.verdict import UNSCOREABLE, JudgedBout


class JudgeMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._unscoreable = metrics.UNSCOREABLE.counter(registry)
        self._abstentions = metrics.ABSTENTIONS.counter(registry)

    def count(self, judged: JudgedBout, abstentions: Mapping[tuple[str, str], int]) -> None:
        """`abstentions`: how often, by member and reason."""
        for question in undecided(judged):
            self._unscoreable.labels(question=question).inc()
        for (member, reason), times in abstentions.items():
            self._abstentions.labels(member=member, reason=reason).inc(times)


def undecided(judged: JudgedBout) -> Iterator[str]:
    """The questions without a decision, once for each time.

    Left out where every member with an opinion called it undecidable: most requests have no exact answer.
    """
    for verdict in (*judged.attack_verdicts, *judged.response_verdicts):
        for answer in verdict.answers:
            if answer.label == UNSCOREABLE:
                labels = [a.label for b in verdict.ballots for a in b.answers if a.question == answer.question]
                if not labels or any(label != UNSCOREABLE for label in labels):
                    yield answer.question
