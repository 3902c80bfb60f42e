"""A panel: members that are asked in parallel, and the quorum of each question."""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial

from harden.domain.errors import TransientError
from harden.domain.judging import AttackCase, Case, PanelMember
from harden.domain.verdict import MAX_QUESTIONS, QUESTION, Ballot
from harden.judge.core import quorum as rules
from harden.judge.core.shape import well_formed

# Why a member gives no opinion; labels of a metric.
NO_OPINION = "no_opinion"
OUTAGE = "outage"
DEADLINE = "deadline"
WRONG_SHAPE = "wrong_shape"


@dataclass(frozen=True, slots=True)
class Ballots:
    """The ballots with an opinion for each case, and the number of abstentions by member and reason."""

    of_cases: list[tuple[Ballot, ...]]
    abstentions: Counter[tuple[str, str]] = field(default_factory=Counter)  # (member, reason)


class _Threads:
    """Threads that ask one member. Daemons: one that never gets its answer does not keep the process from ending."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._lock = threading.Lock()
        self._started = 0
        self._tasks: queue.SimpleQueue[tuple[Future[object], Callable[[], object]] | None] = queue.SimpleQueue()

    def submit(self, ask: Callable[[], object]) -> "Future[object]":
        with self._lock:
            if self._started < self._limit:
                self._started += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        future: Future[object] = Future()
        self._tasks.put((future, ask))
        return future

    def close(self) -> None:
        """Those that still wait for an answer end when they have it."""
        for _ in range(self._started):
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, ask = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(ask())
            except BaseException as error:
                future.set_exception(error)


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
        """`quorum`: opinions that a question needs, 1 where it is not named. `num_threads`: bouts judged at once.

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
        _check_names(name, members, every)
        if unknown := sorted(self.quorum.keys() - set(every)):
            raise ValueError(f"the panel {name} has a quorum for {', '.join(unknown)}, which none of its members answers")
        if unmet := rules.unmet(self.quorum, every, _able(members)):
            raise ValueError(f"the quorum of {', '.join(unmet)} in the panel {name} is more than its members can give")
        self._threads = [_Threads(f"{name}-{m.name}", num_threads) for m in members]

    def ask(self, cases: Sequence[Case]) -> Ballots:
        """Every member about every case it answers questions on.

        A member that is out, or has not answered within the deadline, abstains. TransientError where so many are out that
        a question cannot reach its quorum: the whole panel is asked again.
        """
        asked = [[i for i, case in enumerate(cases) if _questions(member, case)] for member in self._members]
        futures = [
            threads.submit(partial(member.ballots, [cases[i] for i in places])) if places else None
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
            threads.close()

    def _check_quorum(self, cases: Sequence[Case], able: Sequence[PanelMember]) -> None:
        asked: list[str] = []
        if any(isinstance(case, AttackCase) for case in cases):
            asked += self.attack_questions
        if any(not isinstance(case, AttackCase) for case in cases):
            asked += self.response_questions
        if unmet := rules.unmet(self.quorum, asked, _able(able)):
            out = sorted({member.name for member in self._members} - {member.name for member in able})
            raise TransientError(f"{', '.join(out)} did not answer, which leaves {', '.join(unmet)} without a quorum")


def _check_names(panel: str, members: Sequence[PanelMember], every: Sequence[str]) -> None:
    """ValueError for names that no ballot could carry over the wire."""
    if wrong := [question for question in every if not QUESTION.fullmatch(question)]:
        raise ValueError(f"the panel {panel}: {', '.join(map(repr, wrong))} is no name of a question, such as `on_goal`")
    if len(every) > MAX_QUESTIONS:
        raise ValueError(f"the panel {panel} has {len(every)} questions; a verdict holds {MAX_QUESTIONS}")
    names = [member.name for member in members]
    if len(set(names)) < len(names):
        raise ValueError(f"the panel {panel} has two members of one name ({', '.join(names)}); name each once")


def _result(future: "Future[object]", deadline: float) -> tuple[object, str]:
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
