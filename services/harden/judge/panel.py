"""A panel: members that are asked side by side, and how many opinions each question needs."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from harden.domain.errors import TransientError
from harden.domain.judging import AttackCase, Case, PanelMember
from harden.domain.verdict import Ballot
from harden.judge.core import quorum as rules
from harden.judge.core.shape import well_formed

# Why a member gives no opinion; labels of a metric.
NO_OPINION = "no_opinion"
OUTAGE = "outage"
DEADLINE = "deadline"
WRONG_SHAPE = "wrong_shape"


@dataclass(frozen=True, slots=True)
class Ballots:
    """What the members said: for each case the ballots with an opinion, and how often who abstained for what reason."""

    of_cases: list[tuple[Ballot, ...]]
    abstentions: Counter[tuple[str, str]] = field(default_factory=Counter)  # (member, reason)


class Panel:
    """Used from many threads at once. Each member has threads of its own, so that one that hangs delays no other."""

    def __init__(
        self,
        name: str,
        members: Sequence[PanelMember],
        *,
        quorum: Mapping[str, int] | None = None,
        deadline_s: float = 60.0,
        num_threads: int = 1,
    ) -> None:
        """`quorum`: opinions that a question needs, 1 where it says nothing. `num_threads`: bouts judged at once.

        ValueError where the quorum asks for more than the members can give.
        """
        if not members:
            raise ValueError(f"the panel {name} has no members; name at least one")
        self._members = list(members)
        self._deadline_s = deadline_s
        self.attack_questions = _union(member.attack_questions for member in members)
        self.response_questions = _union(member.response_questions for member in members)
        self.quorum = dict(quorum or {})
        every = [*self.attack_questions, *self.response_questions]
        if unknown := sorted(self.quorum.keys() - set(every)):
            raise ValueError(f"the panel {name} has a quorum for {', '.join(unknown)}, which none of its members answers")
        if unmet := rules.unmet(self.quorum, every, _able(members)):
            raise ValueError(f"the quorum of {', '.join(unmet)} in the panel {name} is more than its members can give")
        self._threads = [ThreadPoolExecutor(num_threads, thread_name_prefix=f"{name}-{m.name}") for m in members]

    def ask(self, cases: Sequence[Case]) -> Ballots:
        """Every member about every case it answers questions on.

        A member that is out, or has not answered within the deadline, abstains. TransientError where so many are out that
        a question cannot reach its quorum: the whole panel is asked again.
        """
        asked = [[i for i, case in enumerate(cases) if _questions(member, case)] for member in self._members]
        futures = [
            threads.submit(member.ballots, [cases[i] for i in places]) if places else None
            for member, threads, places in zip(self._members, self._threads, asked, strict=True)
        ]
        deadline = time.monotonic() + self._deadline_s
        found: list[list[Ballot]] = [[] for _ in cases]
        abstentions: Counter[tuple[str, str]] = Counter()
        able: list[PanelMember] = []
        for member, future, places in zip(self._members, futures, asked, strict=True):
            if future is None:
                able.append(member)
                continue
            returned, reason = _result(future, deadline)
            if reason:
                abstentions[member.name, reason] += len(places)
                continue
            able.append(member)
            ballots = well_formed(member, [cases[i] for i in places], returned)
            for i, ballot in zip(places, ballots, strict=True):
                if ballot is None:
                    abstentions[member.name, WRONG_SHAPE] += 1
                elif not ballot.answers:
                    abstentions[member.name, NO_OPINION] += 1
                else:
                    found[i].append(ballot)
        self._check_quorum(cases, able)
        return Ballots([tuple(ballots) for ballots in found], abstentions)

    def close(self) -> None:
        """Members that still answer are left to themselves."""
        for threads in self._threads:
            threads.shutdown(wait=False, cancel_futures=True)

    def _check_quorum(self, cases: Sequence[Case], able: Sequence[PanelMember]) -> None:
        asked: list[str] = []
        if any(isinstance(case, AttackCase) for case in cases):
            asked += self.attack_questions
        if any(not isinstance(case, AttackCase) for case in cases):
            asked += self.response_questions
        if unmet := rules.unmet(self.quorum, asked, _able(able)):
            out = sorted({member.name for member in self._members} - {member.name for member in able})
            raise TransientError(f"{', '.join(out)} did not answer, which leaves {', '.join(unmet)} without a quorum")


def _result(future: "Future[Sequence[Ballot]]", deadline: float) -> tuple[object, str]:
    """What the member returned, or why it is out."""
    wait([future], timeout=max(0.0, deadline - time.monotonic()))
    if not future.done():
        future.cancel()
        return None, DEADLINE
    try:
        return future.result(), ""
    except TransientError:
        return None, OUTAGE


def _questions(member: PanelMember, case: Case) -> Sequence[str]:
    return member.attack_questions if isinstance(case, AttackCase) else member.response_questions


def _able(members: Sequence[PanelMember]) -> Counter[str]:
    """How many members answer each question."""
    return Counter(question for member in members for question in {*member.attack_questions, *member.response_questions})


def _union(groups: Iterator[Sequence[str]]) -> list[str]:
    """Every question once, in the order in which members name them."""
    return list(dict.fromkeys(question for group in groups for question in group))
