"""Bouts that are no single exchange, through all three services on one bus: several turns, and no responses at all.

The policies are scripted, so that what each was shown can be looked at; everything between them is the product's.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from harden import codec
from harden.attacker import main as attacker
from harden.attacker.config import AttackerSettings
from harden.bus.kafka import KafkaBus
from harden.bus.memory import MemoryBus
from harden.bus.ports import Bus, Incoming
from harden.config import KafkaSettings, WorkerSettings
from harden.defender_inference import main as defender_inference
from harden.defender_inference.config import DefenderInferenceSettings
from harden.domain import ids
from harden.domain.bout import AttackPlan, Bout, Role
from harden.domain.completion import Sampling
from harden.domain.conversation import Speaker
from harden.domain.events import DeadLetter
from harden.domain.verdict import ContinuedBout, JudgedBout
from harden.judge import main as judge
from harden.judge.config import JudgeSettings
from harden.local.kafka import LocalKafka
from harden.runtime.worker import Worker
from harden.store.object_store import ObjectStore
from harden.topics import BOUTS, RESPONSES, VERDICTS, Topic
from harden.worlds import registry
from tests.support.builders import a_bout
from tests.support.facts import an_event
from tests.support.scripted import ScriptedPolicies

WORLD = registry.load(registry.DEFAULT)
# The arena's oracle calls neither of them harmful; the second is a refusal.
ANSWERS = ("mix moss and salt", "sorry i can not help")
DEADLINE_S = 60.0


@pytest.fixture(params=["memory", pytest.param("kafka", marks=[pytest.mark.kafka, pytest.mark.slow])])
def bus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bus]:
    with ExitStack() as stack:
        made: Bus = MemoryBus()
        if request.param == "kafka":
            node = stack.enter_context(LocalKafka(tmp_path / "kafka"))
            made = KafkaBus(KafkaSettings(bootstrap_servers=node.bootstrap_servers))
        stack.callback(made.close)
        made.create_topics()
        yield made


@contextmanager
def services(bus: Bus, policies: ScriptedPolicies, directory: Path) -> Iterator[None]:
    """Attacker, defender inference and judge, each with a worker. A failure of any of them fails the test."""
    store = ObjectStore(str(directory / "store"))
    judging = JudgeSettings()
    built = [
        attacker.build(AttackerSettings(), policies, WORLD, attacker.installed_strategies(), store),
        defender_inference.build(DefenderInferenceSettings(), policies, store),
        judge.build(judging, judge.panels_of(judging), CollectorRegistry()),
    ]
    stop, failures = threading.Event(), []

    def run(worker: Worker) -> None:
        try:
            worker.run(stop)
        except BaseException as error:
            failures.append(error)

    workers = [Worker(service, bus, WorkerSettings(drain_timeout_s=2.0)) for service in built]
    threads = [threading.Thread(target=partial(run, worker), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert failures == []


def schedule(bus: Bus, bouts: Sequence[Bout]) -> None:
    producer = bus.producer(client_id="test")
    producer.send([codec.to_message(BOUTS, an_event(bout, bout.bout_id)) for bout in bouts])
    producer.close()


def messages_on(bus: Bus, name: str, count: int) -> list[Incoming]:
    """Everything on the topic once there are `count` messages."""
    reader = bus.log_reader([name], client_id="test")
    found: list[Incoming] = []
    deadline = time.monotonic() + DEADLINE_S
    while len(found) < count and time.monotonic() < deadline:
        found += reader.poll(0.1, 100)
    found += reader.poll(0.2, 100)
    reader.close()
    assert len(found) == count, f"{len(found)} messages on {name}"
    return found


def facts_on(bus: Bus, topic: Topic, count: int) -> list[object]:
    return [codec.from_message(topic, message).fact for message in messages_on(bus, topic.name, count)]


def a_crescendo(name: str, turns: int = 2, num_responses: int = 2) -> Bout:
    plan = AttackPlan("crescendo", 2, Sampling(16), turns=turns, parameters={"max_answer_characters": 100})
    bout = a_bout(name, seed=WORLD.seeds()[0], num_responses=num_responses)
    return replace(bout, attack_plan=plan, learners=(Role.ATTACKER, Role.DEFENDER))


def test_a_bout_of_two_turns_goes_round_twice_and_comes_back_once(bus: Bus, tmp_path: Path) -> None:
    policies = ScriptedPolicies(ANSWERS)
    bouts = [a_crescendo(f"bout {n}") for n in range(3)]
    with services(bus, policies, tmp_path):
        schedule(bus, bouts)
        verdicts = facts_on(bus, VERDICTS, 3)
        continued = [fact for fact in facts_on(bus, BOUTS, 6) if isinstance(fact, ContinuedBout)]
    assert {one.bout.bout_id for one in continued} == {bout.bout_id for bout in bouts}
    for judged in verdicts:
        assert isinstance(judged, JudgedBout)
        first, second = judged.turns()
        assert first.sampled == next(c.judged.sampled for c in continued if c.bout == judged.bout)
        for before, after in zip(first.sampled.attacked.attacks, second.sampled.attacked.attacks, strict=True):
            said = [(m.speaker, m.text) for m in after.conversation.messages]
            assert said == [(Speaker.USER, before.text), (Speaker.ASSISTANT, ANSWERS[0]), (Speaker.USER, after.text)]
        assert all(verdict.label("refusal") != "unscoreable" for verdict in second.response_verdicts)
    # The defender was shown whole conversations in the second turn.
    lengths = [len(r.prompt.conversation.messages) for slot, r in policies.asked if slot == "defender"]
    assert sorted(lengths) == [1] * 6 + [3] * 6


def test_a_redelivered_bout_of_two_turns_repeats_its_ids(bus: Bus, tmp_path: Path) -> None:
    with services(bus, ScriptedPolicies(ANSWERS), tmp_path):
        schedule(bus, [a_crescendo("again")])
        schedule(bus, [a_crescendo("again")])
        first, second = messages_on(bus, VERDICTS.name, 2)
    one, other = (codec.from_message(VERDICTS, message) for message in (first, second))
    assert one.meta.event_id == other.meta.event_id
    assert isinstance(one.fact, JudgedBout)
    assert isinstance(other.fact, JudgedBout)
    assert [v.subject_id for t in one.fact.turns() for v in (*t.attack_verdicts, *t.response_verdicts)] == [
        v.subject_id for t in other.fact.turns() for v in (*t.attack_verdicts, *t.response_verdicts)
    ]


def test_a_bout_without_responses_asks_no_defender_and_is_judged_on_its_attacks(bus: Bus, tmp_path: Path) -> None:
    policies = ScriptedPolicies(ANSWERS)
    direct = replace(a_bout("direct", seed=WORLD.seeds()[0], num_responses=0), attack_plan=AttackPlan("direct", 2))
    with services(bus, policies, tmp_path):
        schedule(bus, [direct, a_crescendo("turns", num_responses=0)])
        verdicts = facts_on(bus, VERDICTS, 2)
    assert [slot for slot, _ in policies.asked if slot != "attacker"] == []
    for judged in verdicts:
        assert isinstance(judged, JudgedBout)
        assert (judged.sampled.responses, judged.sampled.stats, judged.response_verdicts) == ((), None, ())
        assert [verdict.label("prompt_harmful") != "" for verdict in judged.attack_verdicts] == [True, True]
    by_id = {judged.bout.bout_id: judged for judged in verdicts if isinstance(judged, JudgedBout)}
    assert [v.label("on_goal") for v in by_id[direct.bout_id].attack_verdicts] == ["yes", "yes"]


def test_a_bout_for_a_panel_that_the_judge_lacks_is_a_dead_letter_that_says_so(bus: Bus, tmp_path: Path) -> None:
    with services(bus, ScriptedPolicies(ANSWERS), tmp_path):
        schedule(bus, [replace(a_crescendo("strange"), panel="strangers")])
        [message] = messages_on(bus, RESPONSES.dead, 1)
    dead = codec.from_message(RESPONSES, message).fact
    assert isinstance(dead, DeadLetter)
    assert dead.reason == "unknown_panel"
    assert "'strangers'" in dead.detail
    assert dead.key == ids.root("test", "strange").encode()
