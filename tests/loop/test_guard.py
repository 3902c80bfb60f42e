"""A game behind a guard: the policy that users have says what is allowed, and nobody learns from a refusal of the guard."""

import json
from pathlib import Path

from harden import codec
from harden.bus.memory import MemoryBus
from harden.bus.ports import Incoming
from harden.domain.bout import Purpose
from harden.domain.policy import PolicyPublished, Slot
from harden.domain.verdict import JudgedBout
from harden.topics import POLICIES, VERDICTS, Topic
from harden.trainer.core.admission import NOT_SAMPLED
from harden.worlds.arena.language import REFUSAL
from tests.support.loop import EXPERIMENT, a_loop

MIX = [
    {"name": "ordinary", "category": "ordinary", "attacks": "transform", "share": 0.5},
    {"name": "direct", "category": "harmful", "attacks": "direct", "share": 0.5},
]
DEFENDER = {"steps": 1, "grpo": {**EXPERIMENT["defender"]["grpo"], "mix": MIX}}


def facts_on(bus: MemoryBus, topic: Topic) -> list[object]:
    reader = bus.log_reader([topic.name], client_id="test")
    messages: list[Incoming] = []
    while not reader.caught_up():
        messages += reader.poll(0.1, 1000)
    reader.close()
    return [codec.from_message(topic, message).fact for message in messages]


def test_direct_requests_are_refused_by_the_guard_and_dropped(tmp_path: Path) -> None:
    bus = MemoryBus()
    bus.create_topics()
    with a_loop(bus, tmp_path, guard=True, defender=DEFENDER, attacker={**EXPERIMENT["attacker"], "steps": 0}) as loop:
        loop.trainer().run()
        loop.assert_healthy()
    judged = [fact for fact in facts_on(bus, VERDICTS) if isinstance(fact, JudgedBout)]
    published = [fact for fact in facts_on(bus, POLICIES) if isinstance(fact, PolicyPublished)]
    (stable,) = [fact.policy.digest for fact in published if fact.policy.slot == Slot.DEFENDER_STABLE]
    direct = [one for one in judged if one.bout.suite == "direct"]
    assert {one.bout.purpose for one in direct} == {Purpose.TRAIN, Purpose.EVALUATE}
    for one in direct:
        for response in one.sampled.responses:
            completion = response.completion
            assert (completion.text, completion.token_ids, completion.policy_digest) == (REFUSAL, (), stable)
        assert {verdict.label("refusal") for verdict in one.response_verdicts} == {"full"}
    bouts = json.loads((loop.run_dir / "rounds/1.json").read_text())["bouts"]
    assert bouts["dropped"] == {NOT_SAMPLED: 4}
    assert bouts["trained"] == 4
