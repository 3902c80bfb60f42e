"""Checks the shape of what a panel member returned. A wrong shape is an abstention, never a pass."""

import math
from collections.abc import Sequence

from harden.domain import verdict as questions
from harden.domain.judging import AttackCase, Case, PanelMember
from harden.domain.verdict import Answer, Ballot, Label, Refusal

_YES_OR_NO = frozenset(label.value for label in Label)
# Labels of the questions that readers know. A judge's own questions have labels of its own.
LABELS = {
    questions.PROMPT_HARMFUL: _YES_OR_NO,
    questions.ON_GOAL: _YES_OR_NO,
    questions.LOOSELY_ON_GOAL: _YES_OR_NO,
    questions.RESPONSE_HARMFUL: _YES_OR_NO,
    questions.CORRECT: _YES_OR_NO,
    questions.FAITHFUL: _YES_OR_NO,
    questions.REFUSAL: frozenset(refusal.value for refusal in Refusal),
}


def well_formed(member: PanelMember, cases: Sequence[Case], ballots: object) -> list[Ballot | None]:
    """One for each case: the member's ballot, or None where it is not one the member may cast."""
    if not isinstance(ballots, Sequence) or len(ballots) != len(cases):
        return [None] * len(cases)
    return [ballot if _is_ballot_of(member, case, ballot) else None for case, ballot in zip(cases, ballots, strict=True)]


def _is_ballot_of(member: PanelMember, case: Case, ballot: object) -> bool:
    if not isinstance(ballot, Ballot) or ballot.member != member.name:
        return False
    allowed = member.attack_questions if isinstance(case, AttackCase) else member.response_questions
    asked = [answer.question for answer in ballot.answers]
    return len(set(asked)) == len(asked) and set(asked) <= set(allowed) and all(map(_is_answer, ballot.answers))


def _is_answer(answer: Answer) -> bool:
    if not _can_be_written(answer.why, questions.MAX_WHY_CHARACTERS):
        return False
    if answer.label is not None:
        labels = LABELS.get(answer.question)
        if labels is not None:
            return answer.label in labels
        return answer.label != "" and _can_be_written(answer.label, questions.MAX_LABEL_CHARACTERS)
    return answer.question not in LABELS and answer.score is not None and math.isfinite(answer.score)


def _can_be_written(text: object, max_characters: int) -> bool:
    """A model's text may be malformed: too long, or cut within a character."""
    return isinstance(text, str) and len(text) <= max_characters and not any("\ud800" <= c <= "\udfff" for c in text)
