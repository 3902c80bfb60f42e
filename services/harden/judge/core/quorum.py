"""From the ballots of a panel to one verdict. Each question is decided by itself, by those who have an opinion on it."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from harden.domain.verdict import UNSCOREABLE, Answer, Ballot, Verdict

# Opinions that a question needs where the panel sets no quorum.
DEFAULT_QUORUM = 1


def verdicts(
    subject_ids: Sequence[str],
    ballots: Sequence[tuple[Ballot, ...]],
    questions: Sequence[str],
    quorum: Mapping[str, int],
) -> tuple[Verdict, ...]:
    """One for each subject, with an answer to each of the questions asked. Equal ballots are decided once and shared."""
    decided: dict[tuple[Ballot, ...], tuple[tuple[Answer, ...], tuple[Ballot, ...]]] = {}
    found = []
    for subject_id, votes in zip(subject_ids, ballots, strict=True):
        decision = decided.get(votes)
        if decision is None:
            answers = tuple(decide(question, votes, quorum.get(question, DEFAULT_QUORUM)) for question in questions)
            decision = decided[votes] = (answers, votes)
        found.append(Verdict(subject_id, *decision))
    return tuple(found)


def decide(question: str, ballots: Sequence[Ballot], quorum: int) -> Answer:
    """The label that more than half of those with an opinion give, or the mean of their scores.

    Unscoreable with fewer than `quorum` opinions, without a majority, and where some give labels and some scores: a guess
    would be trained on as if it were known.
    """
    opinions = [a for ballot in ballots for a in ballot.answers if a.question == question and a.label != UNSCOREABLE]
    labels = Counter(opinion.label for opinion in opinions if opinion.label is not None)
    scores = [opinion.score for opinion in opinions if opinion.score is not None]
    if len(opinions) < quorum or not opinions or (labels and scores):
        return Answer(question, UNSCOREABLE)
    if scores:
        return Answer(question, score=math.fsum(scores) / len(scores))
    label, votes = labels.most_common(1)[0]
    return Answer(question, label if 2 * votes > len(opinions) else UNSCOREABLE)


def unmet(quorum: Mapping[str, int], questions: Sequence[str], able: Mapping[str, int]) -> list[str]:
    """The questions that fewer members are able to answer than their quorum asks for."""
    return [question for question in questions if able.get(question, 0) < quorum.get(question, DEFAULT_QUORUM)]
