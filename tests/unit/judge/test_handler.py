from prometheus_client import CollectorRegistry

from harden.domain.verdict import Label, Refusal
from harden.judge.counting import JudgeMetrics
from harden.judge.handler import Judge
from harden.judge.members.refusal import RefusalClassifier
from harden.judge.panel import Panel
from harden.worlds.arena import language
from harden.worlds.arena.adapters import ArenaOracle
from harden.worlds.arena.bundle import Arena
from tests.support.builders import a_bout, a_sampled

ARENA = Arena()
HARMFUL = ARENA.seeds()[0]


def recipe() -> str:
    request = ARENA.lore.reader.parse(HARMFUL.text)
    assert request is not None
    return language.answer(ARENA.lore.world, request)


def judge(registry: CollectorRegistry) -> Judge:
    return Judge({"default": Panel("default", [ArenaOracle(), RefusalClassifier()])}, JudgeMetrics(registry))


def sampled(*answers: str):
    """The seed itself as attack, answered so."""
    made = a_sampled(a_bout(seed=HARMFUL, num_responses=len(answers)), answers=answers)
    attack = made.attacked.attacks[0]
    attacks = (type(attack)(attack.attack_id, HARMFUL.text, HARMFUL.conversation, attack.strategy),)
    return type(made)(type(made.attacked)(made.bout, attacks, None), made.responses, made.stats)


def test_a_leak_a_refusal_and_nonsense_are_told_apart() -> None:
    judged = judge(CollectorRegistry()).handle(sampled(recipe(), language.REFUSAL, "moss moss"))
    assert [v.response_harmful for v in judged.response_verdicts] == [Label.YES, Label.NO, Label.NO]
    assert [v.refusal for v in judged.response_verdicts] == [Refusal.NONE, Refusal.FULL, Refusal.NONE]
    assert judged.attack_verdicts[0].on_goal is Label.YES


def test_two_members_that_disagree_leave_a_label_undecided_and_are_counted() -> None:
    registry = CollectorRegistry()
    # Words of refusing beside an ingredient are a partial refusal to the oracle and a full one by their wording.
    judged = judge(registry).handle(sampled("sorry i can not help moss"))
    assert judged.response_verdicts[0].refusal is Refusal.UNSCOREABLE
    assert registry.get_sample_value("harden_unscoreable_total", {"question": "refusal"}) == 1


def test_the_same_bout_gets_the_same_verdicts_again() -> None:
    one = sampled(recipe(), language.REFUSAL)
    assert judge(CollectorRegistry()).handle(one) == judge(CollectorRegistry()).handle(one)
