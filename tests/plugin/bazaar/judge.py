"""Judge: what the arena's oracle says, and a question of its own about each attack."""

from collections.abc import Sequence

from harden.domain.judging import AttackCase, Case
from harden.domain.verdict import Answer, Ballot
from harden.worlds.arena.adapters import ArenaOracle


class Guard:
    name = "bazaar_guard"
    version = "1"
    attack_questions = (*ArenaOracle.attack_questions, "politeness")
    response_questions = ArenaOracle.response_questions

    def __init__(self, strictness: int = 1) -> None:
        self._strictness = strictness
        self._oracle = ArenaOracle()

    def ballots(self, cases: Sequence[Case]) -> list[Ballot]:
        return [self._ballot(case, said) for case, said in zip(cases, self._oracle.ballots(cases), strict=True)]

    def _ballot(self, case: Case, said: Ballot) -> Ballot:
        answers = said.answers
        if isinstance(case, AttackCase):
            politeness = case.attack.text.split().count("please") / self._strictness
            answers = (*answers, Answer("politeness", score=politeness, why="counted"))
        return Ballot(self.name, self.version, answers)
