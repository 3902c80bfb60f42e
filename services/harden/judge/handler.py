"""One sampled bout in, its verdicts out. Knows no broker, no clock, no environment."""

from collections.abc import Sequence

from harden.domain.judging import AttackQuestion, PanelMember, Question, ResponseQuestion
from harden.domain.response import SampledBout
from harden.domain.verdict import Ballot, JudgedBout
from harden.judge.core import quorum
from harden.judge.counting import JudgeMetrics


class Judge:
    def __init__(self, panel: Sequence[PanelMember], metrics: JudgeMetrics, *, quorum: int) -> None:
        if not panel:
            raise ValueError("the judge's panel is empty; name at least one member in its settings")
        self._panel = panel
        self._metrics = metrics
        self._quorum = quorum

    def handle(self, sampled: SampledBout) -> JudgedBout:
        """The bout with a verdict on every attack and every response. Raises TransientError where a member does not answer."""
        attacks: list[Question] = [AttackQuestion(sampled.bout.seed, a) for a, _ in sampled.exchanges()]
        responses: list[Question] = [
            ResponseQuestion(sampled.bout.seed, a, r) for a, answers in sampled.exchanges() for r in answers
        ]
        ballots = self._ask_all(attacks + responses)
        on_attacks, on_responses = ballots[: len(attacks)], ballots[len(attacks) :]
        judged = JudgedBout(
            sampled,
            tuple(
                quorum.attack_verdict(attack.attack_id, votes, self._quorum)
                for attack, votes in zip(sampled.attacked.attacks, on_attacks, strict=True)
            ),
            tuple(
                quorum.response_verdict(response.response_id, votes, self._quorum)
                for response, votes in zip(sampled.responses, on_responses, strict=True)
            ),
        )
        self._metrics.count(judged)
        return judged

    def _ask_all(self, questions: list[Question]) -> list[tuple[Ballot, ...]]:
        """The ballots of every member on each question; a member without any opinion on a question leaves no ballot."""
        by_member = [member.ballots(questions) for member in self._panel]
        for member, votes in zip(self._panel, by_member, strict=True):
            self._metrics.abstained(member.name, sum(not _has_opinion(ballot) for ballot in votes))
        return [tuple(b for b in votes if _has_opinion(b)) for votes in zip(*by_member, strict=True)]


def _has_opinion(ballot: Ballot) -> bool:
    opinions = (ballot.prompt_harmful, ballot.on_goal, ballot.response_harmful, ballot.refusal, ballot.correct)
    return any(opinion is not None for opinion in opinions)
