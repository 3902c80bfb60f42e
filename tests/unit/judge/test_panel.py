"""A panel: side by side, within a deadline, down to the quorum."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from harden.domain.errors import PoisonError, SetupError, TransientError
from harden.domain.judging import Case, PanelMember, ResponseCase
from harden.domain.verdict import Answer, Ballot, JudgedBout, answers_of
from harden.judge.config import JudgeSettings, MemberSettings, PanelSettings
from harden.judge.counting import JudgeMetrics
from harden.judge.handler import Judge
from harden.judge.panel import Panel
from harden.judge.panels import panels_of
from tests.support.builders import a_bout, a_sampled


@dataclass
class Member:
    """Says `label` of every response's refusal, or does what `instead` does."""

    name: str
    label: str | None = "full"
    instead: Callable[[], Sequence[Ballot]] | None = None
    version: str = "1"
    attack_questions: tuple[str, ...] = ()
    response_questions: tuple[str, ...] = ("refusal",)
    seen: list[Case] = field(default_factory=list)

    def ballots(self, cases: Sequence[Case]) -> Sequence[Ballot]:
        self.seen += cases
        if self.instead is not None:
            return self.instead()
        return [Ballot(self.name, self.version, answers_of(refusal=self.label)) for _ in cases]


def out() -> Sequence[Ballot]:
    raise TransientError("the model is away")


def says(*answers: Answer, member: str = "odd") -> Member:
    return Member(member, instead=lambda: [Ballot(member, "1", answers)] * 2)


CASES = [ResponseCase(a_bout().seed, a_sampled().attacked.attacks[0], response) for response in a_sampled().responses]


@contextmanager
def a_panel(*members: PanelMember, deadline_s: float = 5.0, **quorum: int) -> Iterator[Panel]:
    panel = Panel("test", members, quorum=quorum, deadline_s=deadline_s)
    try:
        yield panel
    finally:
        panel.close()


def test_members_are_asked_at_the_same_time() -> None:
    meet = threading.Barrier(2, timeout=5)

    def wait_for_the_other() -> Sequence[Ballot]:
        meet.wait()
        return [Ballot("a", "1")] * 2

    with a_panel(Member("a", instead=wait_for_the_other), Member("b", instead=wait_for_the_other)) as panel:
        panel.ask(CASES)  # the barrier breaks where one waits for the other to end


def test_one_that_is_out_abstains_while_the_quorum_holds() -> None:
    with a_panel(Member("a"), Member("b", instead=out)) as panel:
        ballots = panel.ask(CASES)
    assert [[b.member for b in votes] for votes in ballots.of_cases] == [["a"], ["a"]]
    assert ballots.abstentions == {("b", "outage"): 2}


def test_below_the_quorum_the_whole_panel_is_to_be_asked_again() -> None:
    with (
        a_panel(Member("a"), Member("b", instead=out), refusal=2) as panel,
        pytest.raises(TransientError, match="b did not answer, which leaves refusal without a quorum"),
    ):
        panel.ask(CASES)
    with a_panel(Member("b", instead=out)) as alone, pytest.raises(TransientError):
        alone.ask(CASES)


def test_a_question_that_nobody_is_asked_on_needs_no_quorum() -> None:
    """A bout without responses has none to judge: that the member for them is out harms nothing."""
    on_attacks = Member("a", attack_questions=("on_goal",), response_questions=())
    with a_panel(on_attacks, Member("b", instead=out), refusal=1) as panel:
        assert panel.ask([]).of_cases == []


def test_one_that_does_not_answer_in_time_abstains_and_delays_no_other_bout() -> None:
    release = threading.Event()

    def hang() -> Sequence[Ballot]:
        release.wait(30)
        return []

    with a_panel(Member("a"), Member("slow", instead=hang), deadline_s=0.05) as panel:
        try:
            for _ in range(2):  # the second waits behind the first in the slow member's thread, and is cancelled there
                ballots = panel.ask(CASES)
                assert ballots.abstentions == {("slow", "deadline"): 2}
                assert [len(votes) for votes in ballots.of_cases] == [1, 1]
        finally:
            release.set()


@pytest.mark.parametrize(
    "member",
    [
        says(Answer("correct", "yes")),
        says(Answer("refusal", "maybe")),
        says(Answer("refusal", score=0.5)),
        says(Answer("refusal", "full"), Answer("refusal", "none")),
        says(Answer("refusal", "full", why="x" * 16_385)),
        says(Answer("refusal", "full", why="\ud800")),
        Member("odd", instead=lambda: [Ballot("somebody else", "1")] * 2),
        Member("odd", instead=lambda: [Ballot("odd", "1")]),
        Member("odd", instead=lambda: ["full", "full"]),  # type: ignore[list-item]
        Member("odd", instead=lambda: None),  # type: ignore[arg-type,return-value]
    ],
    ids=[
        "not its question",
        "no such label",
        "a score for a label",
        "twice",
        "too long a reason",
        "half a character",
        "of another",
        "too few",
        "no ballot",
        "nothing",
    ],
)
def test_an_answer_of_the_wrong_shape_is_an_abstention(member: Member) -> None:
    with a_panel(Member("a"), member) as panel:
        ballots = panel.ask(CASES)
    assert ballots.abstentions == {("odd", "wrong_shape"): 2}
    assert [len(votes) for votes in ballots.of_cases] == [1, 1]


def test_a_bug_in_a_member_is_not_mistaken_for_an_outage() -> None:
    def bug() -> Sequence[Ballot]:
        raise ZeroDivisionError

    with a_panel(Member("a"), Member("b", instead=bug)) as panel, pytest.raises(ZeroDivisionError):
        panel.ask(CASES)


def test_a_member_is_shown_what_it_has_questions_on_and_nothing_else() -> None:
    member = Member("a", attack_questions=(), response_questions=("refusal",))
    with a_panel(member) as panel:
        Judge({"default": panel}, JudgeMetrics(CollectorRegistry())).handle(a_sampled(a_bout(num_responses=2)))
    assert [type(case) for case in member.seen] == [ResponseCase, ResponseCase]


def test_a_quorum_that_cannot_be_reached_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="the quorum of refusal in the panel test is more than its members can give"):
        Panel("test", [Member("a")], quorum={"refusal": 2})
    with pytest.raises(ValueError, match="quorum for correct, which none of its members answers"):
        Panel("test", [Member("a")], quorum={"correct": 1})


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "has no members"),
        ([Member("a"), Member("a")], "two members of one name"),
        ([Member("a", response_questions=("Is it bad?",))], "'Is it bad.' is no name of a question"),
        ([Member("a", response_questions=tuple(f"q{n}" for n in range(65)))], "has 65 questions; a verdict holds 64"),
    ],
)
def test_a_panel_that_cannot_be_is_refused_at_once(members: list[PanelMember], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Panel("test", members)


def test_a_bout_names_its_panel_and_an_unknown_one_is_poison() -> None:
    with a_panel(Member("a", label="full")) as kind, a_panel(Member("b", label="none")) as strict:
        judge = Judge({"default": kind, "strict": strict}, JudgeMetrics(CollectorRegistry()))
        verdicts = {}
        for name in ("default", "strict"):
            done = judge.handle(a_sampled(a_bout(panel=name)))
            assert isinstance(done, JudgedBout)
            verdicts[name] = done.response_verdicts[0].label("refusal")
        assert verdicts == {"default": "full", "strict": "none"}
        with pytest.raises(PoisonError, match=r"panel 'kindest'; the judge's settings .* have default, strict") as caught:
            judge.handle(a_sampled(a_bout(panel="kindest")))
    assert caught.value.reason == "unknown_panel"


def test_the_settings_name_panels_members_and_quorums() -> None:
    refusals = MemberSettings(judge="refusal_wording")
    panels = panels_of(JudgeSettings(panels={"wording": PanelSettings(members=(refusals,), quorum={"refusal": 1})}))
    assert set(panels) == {"default", "wording"}
    assert panels["wording"].response_questions == ["refusal"]
    assert "on_goal" in panels["default"].attack_questions


@pytest.mark.parametrize(
    ("panel", "message"),
    [
        (PanelSettings(members=(MemberSettings(judge="nobody"),)), "no judge 'nobody'; installed are .*refusal_wording"),
        (PanelSettings(members=(MemberSettings(judge="refusal_wording", settings={"x": 1}),)), "does not accept its settings"),
        (PanelSettings(members=(MemberSettings(judge="refusal_wording"),), quorum={"refusal": 2}), "more than its members"),
    ],
)
def test_settings_that_cannot_be_end_the_process_before_it_begins(panel: PanelSettings, message: str) -> None:
    with pytest.raises(SetupError, match=message):
        panels_of(JudgeSettings(panels={"default": panel}))
