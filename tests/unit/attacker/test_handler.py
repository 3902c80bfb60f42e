"""The attacker between a bout and a strategy, and what crescendo makes of a judged turn."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harden.attacker.handler import Attacker
from harden.attacker.main import installed_strategies
from harden.domain.attack import AttackedBout
from harden.domain.attacking import AttackTools, Draft, TurnPlan
from harden.domain.bout import AttackPlan, Bout, Parameter
from harden.domain.completion import Sampling
from harden.domain.conversation import Speaker
from harden.domain.errors import PoisonError
from harden.domain.verdict import ContinuedBout, JudgedBout, Verdict, answers_of
from harden.store.object_store import ObjectStore
from harden.worlds import registry
from tests.support.builders import NOON, a_bout
from tests.support.scripted import ScriptedPolicies, answered

WORLD = registry.load(registry.DEFAULT)
SAMPLING = Sampling(16)
HELPED, REFUSED = "mix moss and salt", "sorry i can not help"


@dataclass
class Lazy:
    """Makes one attack for every plan, and remembers the parameters."""

    name: str = "lazy"
    parameters: dict[str, Parameter] = field(default_factory=lambda: {"depth": 1.0, "tone": "kind"})
    seen: list[dict[str, Parameter]] = field(default_factory=list)

    def drafts(self, plan: TurnPlan, tools: AttackTools) -> Sequence[Draft]:
        self.seen.append(dict(plan.parameters))
        return [Draft("one")]


@dataclass
class Site:
    directory: Path
    strategies: list[object] = field(default_factory=installed_strategies)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        self.policies = ScriptedPolicies()
        self.store = ObjectStore(str(self.directory))
        self.attacker = Attacker(self.policies, WORLD, self.strategies, self.store, max_images=4, now=lambda: NOON)  # type: ignore[arg-type]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def planned(strategy: str, *, num_attacks: int = 2, sampling: Sampling | None = SAMPLING, **parameters: Parameter) -> Bout:
    plan = AttackPlan(strategy, num_attacks, sampling, turns=2, parameters=parameters)
    return replace(a_bout(seed=WORLD.seeds()[0]), attack_plan=plan)


def judged_as(attacked: AttackedBout, site: Site, *refusals: str, harmful: str = "no") -> ContinuedBout:
    """Every attack's responses judged by these refusals, in order."""
    sampled = answered(attacked, site.store)
    n = len(refusals)
    verdicts = tuple(
        Verdict(r.response_id, answers_of(refusal=refusals[i % n], response_harmful=harmful))
        for i, r in enumerate(sampled.responses)
    )
    on_attacks = tuple(Verdict(attack.attack_id, ()) for attack in attacked.attacks)
    return ContinuedBout(JudgedBout(sampled, on_attacks, verdicts))


def refused(site: Site, bout: Bout) -> PoisonError:
    with pytest.raises(PoisonError) as caught:
        site.attacker.handle(bout)
    return caught.value


def test_a_strategy_that_is_not_installed_is_poison(site: Site) -> None:
    error = refused(site, planned("guesswork"))
    assert error.reason == "unknown_strategy"
    assert "installed are crescendo, direct, policy, recorded, transform" in error.detail


def test_asking_the_policy_without_sampling_is_poison(site: Site) -> None:
    assert refused(site, planned("crescendo", sampling=None)).reason == "no_sampling"


def test_a_strategy_gets_its_defaults_and_what_the_bout_says(tmp_path: Path) -> None:
    lazy = Lazy()
    site = Site(tmp_path, [lazy])
    site.attacker.handle(planned("lazy", num_attacks=1, depth=3))
    assert lazy.seen == [{"depth": 3, "tone": "kind"}]


@pytest.mark.parametrize("parameters", [{"dept": 1.0}, {"depth": "deep"}, {"depth": True}, {"tone": 2.0}])
def test_parameters_that_the_strategy_does_not_take_are_poison(tmp_path: Path, parameters: dict[str, Parameter]) -> None:
    error = refused(Site(tmp_path, [Lazy()]), planned("lazy", num_attacks=1, **parameters))
    assert error.reason == "wrong_parameters"
    assert "it takes depth (float), tone (str)" in error.detail


def test_a_strategy_that_makes_too_few_attacks_is_noticed(tmp_path: Path) -> None:
    error = refused(Site(tmp_path, [Lazy()]), planned("lazy", num_attacks=2))
    assert (error.reason, "made 1 attacks, 2 are planned" in error.detail) == ("wrong_number_of_attacks", True)


def test_crescendo_goes_on_in_the_same_conversation(site: Site) -> None:
    first = site.attacker.handle(planned("crescendo"))
    second = site.attacker.handle(judged_as(first, site, "none", "full"))
    for before, after in zip(first.attacks, second.attacks, strict=True):
        messages = after.conversation.messages
        assert messages[:-2] == before.conversation.messages
        assert [m.speaker for m in messages[-2:]] == [Speaker.ASSISTANT, Speaker.USER]
        assert [m.text for m in messages[-2:]] == [HELPED, after.text]
        assert after.parent_attack_id == before.attack_id
        assert after.attack_id != before.attack_id
    assert second.turn == 1


def test_crescendo_shows_the_policy_what_was_answered_and_what_the_judge_said(site: Site) -> None:
    first = site.attacker.handle(planned("crescendo"))
    second = site.attacker.handle(judged_as(first, site, "none", "full"))
    for before, after in zip(first.attacks, second.attacks, strict=True):
        assert after.prompt is not None
        seed, own, came = after.prompt.messages
        assert seed.text == first.bout.seed.text
        assert (own.speaker, own.text) == (Speaker.ASSISTANT, before.text)
        assert came.text == f"answer: {HELPED}\nverdict: refusal none, response_harmful no"
    asked = [request.prompt.conversation for slot, request in site.policies.asked if slot == "attacker"]
    assert asked[1:] == [attack.prompt for attack in second.attacks]


def test_crescendo_goes_back_behind_what_was_refused(site: Site) -> None:
    first = site.attacker.handle(planned("crescendo"))
    second = site.attacker.handle(judged_as(first, site, "full", "full"))
    assert [len(attack.conversation.messages) for attack in second.attacks] == [1, 1]
    stubborn = site.attacker.handle(planned("crescendo", backtrack=False))
    kept = site.attacker.handle(judged_as(stubborn, site, "full", "full"))
    assert [len(attack.conversation.messages) for attack in kept.attacks] == [3, 3]


def test_crescendo_continues_the_answer_that_went_furthest(site: Site) -> None:
    """The scripted defender helps first and refuses then; the judge sees it the other way round."""
    first = site.attacker.handle(planned("crescendo"))
    second = site.attacker.handle(judged_as(first, site, "full", "partial"))
    assert second.attacks[0].conversation.messages[-2].text == REFUSED
