"""All services on one bus in this process: what must stay true of a whole game, however messages are delivered."""

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harden import codec
from harden.bus.kafka import KafkaBus
from harden.bus.memory import MemoryBus
from harden.bus.ports import Bus, Outgoing
from harden.config import KafkaSettings
from harden.domain.bout import Role
from harden.domain.errors import FencedError, PoisonError, SetupError
from harden.domain.events import DeadLetter
from harden.domain.policy import SLOTS, PolicyPublished
from harden.domain.round import BestResponseFinished, RoundFinished
from harden.local.kafka import LocalKafka
from harden.store.policies import fetch_manifest
from harden.store.signing import Verifier
from harden.topics import ATTACKS, BOUTS, POLICIES, RESPONSES, ROUNDS, VERDICTS, Topic
from harden.trainer.game.tasks.evaluate import Evaluate
from harden.trainer.game.tasks.learn import Learn
from tests.support.loop import EXPERIMENT, Loop, a_loop

WORK = (BOUTS, ATTACKS, RESPONSES, VERDICTS)
KINDS = ("malformed", "unknown_event", "missing_event_name", "invalid")


@pytest.fixture(params=["memory", pytest.param("kafka", marks=[pytest.mark.kafka, pytest.mark.slow])])
def bus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bus]:
    """Empty: what another test left on the topics would be played as well, so each test has a broker of its own."""
    with ExitStack() as stack:
        made: Bus = MemoryBus()
        if request.param == "kafka":
            node = stack.enter_context(LocalKafka(tmp_path / "kafka"))
            made = KafkaBus(KafkaSettings(bootstrap_servers=node.bootstrap_servers))
        stack.callback(made.close)
        made.create_topics()
        yield made


def account(loop: Loop) -> dict[str, int]:
    """The sums of round 1 as the report has them."""
    bouts = json.loads((loop.run_dir / "rounds/1.json").read_text())["bouts"]
    ended = bouts["trained"] + sum(bouts["dropped"].values()) + bouts["dead_lettered"] + bouts["expired"]
    assert bouts["scheduled"] == ended
    return {**bouts, "dropped": sum(bouts["dropped"].values())}


def everything_on(bus: Bus, names: list[str]) -> list[object]:
    reader = bus.log_reader(names, client_id="test")
    messages = []
    while not reader.caught_up():
        messages += reader.poll(0.2, 1000)
    reader.close()
    return messages


def hostile(topic: Topic) -> list[Outgoing]:
    event = topic.events[0].encode()
    return [
        Outgoing(topic.name, b"a", b"\xff\xff\xff\xff", (("event", event),)),
        Outgoing(topic.name, b"b", b"", (("event", b"harden.nobody.v1.Knows"),)),
        Outgoing(topic.name, b"c", b"no header at all"),
        Outgoing(topic.name, b"d", b"", (("event", event),)),
    ]


def test_a_game_plays_to_its_end_and_accounts_for_every_bout(bus: Bus, tmp_path: Path) -> None:
    with a_loop(bus, tmp_path) as loop:
        loop.trainer().run()
        loop.assert_healthy()
    sums = account(loop)
    assert sums["scheduled"] == 3 * 8 + 2 * 3
    assert sums["trained"] > 0
    assert sums["dead_lettered"] == sums["expired"] == 0


def test_a_game_may_play_in_slots_of_its_own(tmp_path: Path) -> None:
    bus = MemoryBus()
    bus.create_topics()
    slots = {"attacker": "opponent_1", "defender": "pupil", "stable": "pupil_stable"}
    policies = {"slots": slots}
    with a_loop(bus, tmp_path, policies=policies, schedule={"rounds": 1, "publish_every": 2}) as loop:
        loop.trainer().run()
        loop.assert_healthy()
    published = [codec.from_message(POLICIES, message).fact for message in everything_on(bus, [POLICIES.name])]
    assert {fact.policy.slot for fact in published} == set(slots.values())


def test_between_the_first_and_the_last_round_fewer_rows_may_be_asked(tmp_path: Path) -> None:
    bus = MemoryBus()
    bus.create_topics()
    schedule = {"rounds": 2, "publish_every": 2, "bout_timeout_s": 60.0}
    with a_loop(bus, tmp_path, schedule=schedule, evaluation={"rows": 12, "rows_between": 4}) as loop:
        loop.trainer().run()
        loop.assert_healthy()
    rounds = [json.loads((loop.run_dir / f"rounds/{number}.json").read_text()) for number in range(3)]
    assert [one["accuracy"]["utility"]["n"] for one in rounds] == [15, 5, 15]  # a utility question is asked in five wrappings


def test_the_first_and_the_last_round_say_what_any_cell_reaches_and_what_is_drawn_at_temperature_1(tmp_path: Path) -> None:
    bus = MemoryBus()
    bus.create_topics()
    families = {"held_out_family", "held_out_family_and_potion"}
    schedule = {"rounds": 2, "publish_every": 2, "bout_timeout_s": 60.0}
    evaluation = {"rows": 50, "rows_between": 1, "sampled": sorted(families)}
    with a_loop(bus, tmp_path, schedule=schedule, evaluation=evaluation) as loop:
        loop.trainer().run()
        loop.assert_healthy()
    facts = [codec.from_message(ROUNDS, message).fact for message in everything_on(bus, [ROUNDS.name])]
    first, between, last = [fact.rates for fact in facts if isinstance(fact, RoundFinished)]
    for rates in (first, between, last):
        assert rates["attack_any"].keys() == rates["attack_success"].keys() > families
        for suite, rate in rates["attack_any"].items():
            assert rate.rate >= rates["attack_success"][suite].rate, suite
    for rates in (first, last):
        # Whole turns through 44 and 24 potions.
        assert [rates["attack_any"][suite].n for suite in sorted(families)] == [44, 24]
        assert [rates["attack_any_t1"][suite].n for suite in sorted(families)] == [44, 24]
        assert [rates["attack_success_t1"][suite].n for suite in sorted(families)] == [88, 72]
        assert rates["attack_success_t1"].keys() == families
    assert not {"attack_success_t1", "attack_any_t1"} & between.keys()


@pytest.mark.parametrize("name", ["held_out_famly", "ordinary"])
def test_only_suites_of_attacks_are_answered_at_temperature_1(tmp_path: Path, name: str) -> None:
    bus = MemoryBus()
    bus.create_topics()
    with (
        a_loop(bus, tmp_path, evaluation={"rows": 10, "sampled": ["trained", name]}) as loop,
        pytest.raises(SetupError, match=rf"evaluation\.sampled: .* no suite of attacks '{name}'; it has trained, .*composed"),
    ):
        loop.trainer()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("trained", "has no suite of benign requests 'trained'; it has ordinary_held_out, "),
        ("ordinary", "'ordinary' is the guarded suite; its limit is max_over_refusal"),
    ],
)
def test_the_monitor_limits_over_refusal_on_further_suites_of_benign_requests_only(
    tmp_path: Path, name: str, says: str
) -> None:
    bus = MemoryBus()
    bus.create_topics()
    with (
        a_loop(bus, tmp_path, monitor={"max_over_refusal_on": {"ordinary_held_out": 0.5, name: 0.5}}) as loop,
        pytest.raises(SetupError, match=f"max_over_refusal_on: .*{says}"),
    ):
        loop.trainer()


def test_a_phase_that_breaks_the_limit_of_a_further_suite_is_rejected(tmp_path: Path) -> None:
    """No number of rows shows that nothing is refused, so a limit of 0 is always broken."""
    bus = MemoryBus()
    bus.create_topics()
    off = {"max_over_refusal": None, "min_benign_accuracy": None, "max_zero_variance": None, "max_undecided": None}
    monitor = {**off, "max_over_refusal_on": {"ordinary_held_out": 0.0}, "retries": 0}
    with a_loop(bus, tmp_path, monitor=monitor) as loop:
        loop.trainer().run()
    last = json.loads((loop.run_dir / "rounds/1.json").read_text())
    assert last["rolled_back"]
    (breach,) = last["monitor"]["breaches"]
    assert "over_refusal on ordinary_held_out: the upper bound" in breach


def test_hostile_messages_on_every_topic_are_buried_and_the_ring_goes_on(bus: Bus, tmp_path: Path) -> None:
    producer = bus.producer(client_id="hostile")
    producer.send([message for topic in WORK for message in hostile(topic)])
    with pytest.raises(PoisonError, match="oversized"):
        producer.send([Outgoing(BOUTS.name, b"e", bytes(BOUTS.max_message_bytes + 1))])
    with a_loop(bus, tmp_path) as loop:
        loop.trainer().run()
        loop.assert_healthy()
    assert account(loop)["scheduled"] == 30
    for topic in WORK:
        dead_letters = [codec.from_message(topic, message).fact for message in everything_on(bus, [topic.dead])]
        assert all(isinstance(dead_letter, DeadLetter) for dead_letter in dead_letters)
        assert Counter(dead_letter.reason for dead_letter in dead_letters) == Counter(KINDS)
        assert {dead_letter.value for dead_letter in dead_letters} == {message.value for message in hostile(topic)}


def test_a_ring_that_delivers_everything_twice_and_out_of_order_trains_each_bout_once(bus: Bus, tmp_path: Path) -> None:
    stop = threading.Event()
    repeated: Counter[str] = Counter()

    def repeat() -> None:
        """Sends every message once more, each batch in another order."""
        reader = bus.log_reader([topic.name for topic in WORK], client_id="repeater")
        producer, rng = bus.producer(client_id="repeater"), random.Random(0)
        seen: set[tuple[str, bytes]] = set()
        while not stop.is_set():
            batch = [m for m in reader.poll(0.05, 100) if m.key and (m.topic, m.key) not in seen]
            seen.update((m.topic, m.key) for m in batch if m.key)
            rng.shuffle(batch)
            producer.send([Outgoing(m.topic, m.key or b"", m.value, m.headers) for m in batch])
            repeated.update(m.topic for m in batch)
        reader.close()
        producer.close()

    thread = threading.Thread(target=repeat)
    with a_loop(bus, tmp_path) as loop:
        thread.start()
        try:
            loop.trainer().run()
        finally:
            stop.set()
            thread.join()
        loop.assert_healthy()
    assert all(repeated[topic.name] > 0 for topic in WORK)
    sums = account(loop)
    assert sums["scheduled"] == 30
    assert sums["trained"] + sums["dropped"] == 30


def test_a_trainer_killed_in_a_step_goes_on_where_it_was(tmp_path: Path) -> None:
    """Killed after the bouts of two steps are out and before either is learned from: the worst moment."""
    bus = MemoryBus()
    bus.create_topics()
    with a_loop(bus, tmp_path) as loop:
        first = loop.trainer()
        first.run(until=lambda task: isinstance(task, Learn) and task.step == 1)
        step = first.next_task
        assert isinstance(step, Learn)
        first.schedule_ahead(step)
        scheduled = first.context.game.ledger.account(1).scheduled
        # Nothing of `first` is used again, as if its process were gone.
        second = loop.trainer()
        game = second.context.game
        assert second.next_task == step
        assert game.players[Role.DEFENDER].updates == 1
        assert game.ledger.account(1).scheduled < scheduled
        second.run()
        loop.assert_healthy()
    sums = account(loop)
    assert sums["scheduled"] == 30
    assert sums["expired"] == sums["dead_lettered"] == 0
    bout_ids = [message.key for message in everything_on(bus, [BOUTS.name])]
    assert len(bout_ids) > len(set(bout_ids)), "bouts of the interrupted step went out twice, under the same ids"


def test_a_second_trainer_fences_off_the_first(bus: Bus, tmp_path: Path) -> None:
    with a_loop(bus, tmp_path) as loop:
        first = loop.trainer()
        first.run(until=lambda task: isinstance(task, Evaluate))
        loop.trainer()
        with pytest.raises(FencedError):
            first.run()


def test_side_games_leave_the_slots_of_the_game_alone(tmp_path: Path) -> None:
    bus = MemoryBus()
    bus.create_topics()
    side_run = {"steps": 2, "grpo": {**EXPERIMENT["defender"]["grpo"], "bouts_per_step": 4}}
    attack = {"name": "attack", "category": "goal", "attacks": "policy", "share": 1.0}
    best_response = {
        "steps": 2,
        "goals": {"trained": ["trained"], "never_attacked": ["listed_never_attacked"]},
        "attacks_per_goal": 2,
        "grpo": {"bouts_per_step": 3, "num_attacks": 3, "num_responses": 1, "mix": [attack]},
    }
    with a_loop(bus, tmp_path, side_run=side_run, best_response=best_response, cross_play="listed_never_attacked") as loop:
        trainer = loop.trainer()
        trainer.run()
        loop.assert_healthy()
    published = [
        fact
        for message in everything_on(bus, [POLICIES.name])
        if isinstance(fact := codec.from_message(POLICIES, message).fact, PolicyPublished)
    ]
    by_slot = {slot: [one for one in published if one.policy.slot == slot] for slot in SLOTS}
    assert {one.reason for one in by_slot["defender"]} == {"start", "step", "phase_end"}
    assert [one.reason for one in by_slot["defender_stable"]] == ["start"]
    # The best response and the side run begin and end there, then every round's defender plays.
    assert [one.reason for one in by_slot["side"]] == [
        "start",
        "phase_end",
        "side_run",
        "phase_end",
        "cross_play",
        "cross_play",
    ]
    game = trainer.context.game
    assert set(game.players) == set(Role)
    assert by_slot["defender"][-1].policy.digest == game.players[Role.DEFENDER].by_round[1].policy.digest
    facts = [codec.from_message(ROUNDS, message).fact for message in everything_on(bus, [ROUNDS.name])]
    (adapted,) = [fact for fact in facts if isinstance(fact, BestResponseFinished)]
    assert (adapted.steps, adapted.best_of) == (2, 2)
    assert [one.goals for one in adapted.attacks] == ["trained", "never_attacked"]
    for one in adapted.attacks:
        assert one.best.n > 10
        assert one.before.n == one.after.n == 2 * one.best.n


def test_users_keep_the_policy_that_they_have_when_another_run_begins(tmp_path: Path) -> None:
    bus = MemoryBus()
    bus.create_topics()
    for name in ("first", "second"):
        with a_loop(bus, tmp_path / name, name=name) as loop:
            loop.trainer().run(until=lambda task: isinstance(task, Evaluate))
            loop.assert_healthy()
    facts = [codec.from_message(POLICIES, message).fact for message in everything_on(bus, [POLICIES.name])]
    runs = [fact.run_id for fact in facts if isinstance(fact, PolicyPublished) and fact.policy.slot == "defender_stable"]
    assert len(runs) == 1


def test_a_game_with_adapters_publishes_them_on_its_first_policies(tmp_path: Path) -> None:
    """Whole policies are only what each slot began with; every one of the rest was served, or the game would not have ended."""
    bus = MemoryBus()
    bus.create_topics()
    adapted = {role: {**EXPERIMENT[role], "learner": {"lora": {"rank": 2, "alpha": 4}}} for role in ("defender", "attacker")}
    with a_loop(bus, tmp_path, **adapted) as loop:
        loop.trainer().run()
        loop.assert_healthy()
        verifier = Verifier({loop.signer.key_id: loop.signer.public_key})
        facts = [codec.from_message(POLICIES, message).fact for message in everything_on(bus, [POLICIES.name])]
        manifests = [fetch_manifest(loop.store, verifier, fact) for fact in facts if isinstance(fact, PolicyPublished)]
    whole = [manifest for manifest in manifests if manifest.base is None]
    adapters = [manifest for manifest in manifests if manifest.base is not None]
    assert {manifest.lineage.step for manifest in whole} == {0}
    assert len(adapters) >= 3
    sizes = [sum(file.blob.num_bytes for file in manifest.files) for manifest in (whole[0], adapters[-1])]
    assert sizes[1] < 0.2 * sizes[0], sizes
