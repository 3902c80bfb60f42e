"""What every strategy owes a bout, run against each that is installed: played here turn by turn as the ring does."""

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harden import plugins
from harden.attacker.handler import Attacker
from harden.attacker.main import installed_strategies
from harden.domain.attack import AttackedBout
from harden.domain.bout import MAX_TURNS, AttackPlan, Bout, RecordedAttack, Role
from harden.domain.completion import Sampling
from harden.domain.conversation import Speaker
from harden.domain.verdict import ContinuedBout, JudgedBout
from harden.store.object_store import ObjectStore
from harden.worlds import registry
from tests.support.builders import NOON, a_bout
from tests.support.judging import judged
from tests.support.scripted import ScriptedPolicies, answered

NUM_ATTACKS, TURNS = 3, 3
WORLD = registry.load(registry.DEFAULT)


@pytest.fixture(params=plugins.names(plugins.STRATEGIES))
def strategy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@dataclass
class Game:
    """An attacker, a scripted defender and a judge on one store."""

    store: ObjectStore

    def __post_init__(self) -> None:
        self._attacker = Attacker(ScriptedPolicies(), WORLD, installed_strategies(), self.store, max_images=4, now=lambda: NOON)

    def play(self, bout: Bout) -> list[AttackedBout]:
        """Every turn of the bout, each answered and judged before the next is asked for."""
        fact: Bout | ContinuedBout = bout
        turns: list[AttackedBout] = []
        while True:
            turns.append(self._attacker.handle(fact))
            done = judged(answered(turns[-1], self.store))
            if isinstance(done, JudgedBout):
                return turns
            fact = done


@pytest.fixture
def game(tmp_path: Path) -> Game:
    return Game(ObjectStore(str(tmp_path)))


def planned(strategy: str, turns: int, num_responses: int = 2) -> Bout:
    recorded = tuple(RecordedAttack(f"attack {i}") for i in range(NUM_ATTACKS)) if strategy == "recorded" else ()
    plan = AttackPlan(strategy, NUM_ATTACKS, Sampling(16), recorded, turns)
    bout = a_bout(strategy, seed=WORLD.seeds()[0], num_responses=num_responses)
    return replace(bout, attack_plan=plan, learners=(Role.ATTACKER,))


@pytest.mark.parametrize("turns", [1, TURNS, MAX_TURNS])
def test_every_turn_has_as_many_attacks_as_planned_and_no_turn_is_beyond_the_plan(
    game: Game, strategy: str, turns: int
) -> None:
    played = game.play(planned(strategy, turns))
    assert [attacked.turn for attacked in played] == list(range(turns))
    assert [len(attacked.attacks) for attacked in played] == [NUM_ATTACKS] * turns
    assert {attack.strategy for attacked in played for attack in attacked.attacks} == {strategy}


def test_the_same_bout_twice_is_the_same_bout(game: Game, strategy: str) -> None:
    assert game.play(planned(strategy, TURNS)) == game.play(planned(strategy, TURNS))


def test_no_attack_of_a_bout_has_the_id_of_another(game: Game, strategy: str) -> None:
    made = [attack.attack_id for attacked in game.play(planned(strategy, TURNS)) for attack in attacked.attacks]
    assert len(set(made)) == len(made)


def test_the_defender_is_asked_last(game: Game, strategy: str) -> None:
    """A conversation that ends with the defender's own words, or has two users in a row, asks it nothing."""
    for attacked in game.play(planned(strategy, TURNS)):
        for attack in attacked.attacks:
            speakers = [message.speaker for message in attack.conversation.messages if message.speaker is not Speaker.SYSTEM]
            assert speakers[-1] is Speaker.USER
            assert all(first is not second for first, second in itertools.pairwise(speakers))


def test_a_bout_without_responses_is_attacked_all_the_same(game: Game, strategy: str) -> None:
    played = game.play(planned(strategy, 2, num_responses=0))
    assert [len(attacked.attacks) for attacked in played] == [NUM_ATTACKS] * 2
