"""The rest of the ring, as one trainer sees it, in memory: what is sent is answered before `send` returns.

No service and no thread: a script says what comes back of each bout, and the replicas serve what is published or do not.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from harden import codec
from harden.bus.memory import MemoryBus
from harden.bus.ports import Outgoing
from harden.domain.bout import Bout, Purpose
from harden.domain.completion import Completion
from harden.domain.events import DeadLetter, Fact
from harden.domain.policy import PolicyPublished, PolicyRef, PolicyServed
from harden.domain.seed import SeedLabel
from harden.domain.verdict import JudgedBout, Label, Refusal
from harden.store.object_store import ObjectStore
from harden.threads import OsThreads
from harden.topics import BOUTS, POLICIES, Topic
from tests.support import facts
from tests.support.builders import NOON, a_judged, on_attack
from tests.support.clock import Clock
from tests.support.wire import arrived, sent

LOAD_S = 0.25  # from publication to service
FAR_FUTURE = NOON + 1e6


class KilledError(Exception):
    """The process is gone: nothing catches this."""


def played(bout: Bout, *, refuses: bool = False) -> JudgedBout:
    """Every second attack on a harmful seed gets through, and every second answer of a training bout on a benign one is wrong.

    `refuses`: a defender that declines what is benign.
    """
    count = bout.attack_plan.num_attacks * bout.num_responses
    is_odd = [bool(i % 2) for i in range(count)]
    is_harmful = bout.seed.label is SeedLabel.HARMFUL
    harmful = tuple(Label.YES if is_harmful and odd else Label.NO for odd in is_odd)
    declines = refuses and not is_harmful
    refusal = tuple(Refusal.FULL if declines or (is_harmful and not odd) else Refusal.NONE for odd in is_odd)
    is_right = [not declines and (bout.purpose is Purpose.EVALUATE or odd) for odd in is_odd]
    judged = a_judged(bout, harmful=harmful, refusal=refusal, correct=tuple(Label.YES if r else Label.NO for r in is_right))
    return _by_its_policies(judged, Label.YES if is_harmful else Label.NO)


def _by_its_policies(judged: JudgedBout, prompt_harmful: Label) -> JudgedBout:
    """Written by the policies that the bout names, which is what the trainer knows a sample by."""
    bout, attacked = judged.bout, judged.sampled.attacked
    attacks = [replace(a, completion=_written(a.completion, bout.attacker) if a.completion else None) for a in attacked.attacks]
    responses = [replace(r, completion=_written(r.completion, bout.defender)) for r in judged.sampled.responses]
    sampled = replace(judged.sampled, attacked=replace(attacked, attacks=tuple(attacks)), responses=tuple(responses))
    verdicts = tuple(on_attack(a.attack_id, prompt_harmful=prompt_harmful, family="plain") for a in attacks)
    return replace(judged, sampled=sampled, attack_verdicts=verdicts)


def _written(completion: Completion, by: PolicyRef) -> Completion:
    return replace(completion, policy_digest=by.digest, policy_version=by.version)


def dead(bout: Bout, topic: Topic = BOUTS, reason: str = "unknown_seed") -> DeadLetter:
    return replace(facts.a_dead_letter(), topic=topic.name, key=bout.bout_id.encode(), reason=reason, service="attacker")


def a_lease(
    policy: PolicyRef, replica: str = "triton-0", *, served_at: float = NOON, until: float = FAR_FUTURE
) -> PolicyServed:
    return PolicyServed(policy, replica, served_at, 10.0, 0.0, until, True)


class _Hasty(OsThreads):
    """Every look at the time is a second later."""

    def __init__(self) -> None:
        self.monotonic = Clock(tick=1.0)  # type: ignore[method-assign]


class AnsweringBus(MemoryBus):
    """`answers` says what comes back of a bout, `replicas` who serves what is published. `store` is the ring's.

    `num_sends` counts what the product sends, a transaction as one; the sender is killed right after the one of `dies_after`.
    """

    def __init__(self) -> None:
        # A poll that finds nothing is over at once.
        super().__init__(threads=_Hasty())
        self.create_topics()
        self.store = ObjectStore("memory://")
        self.answers: Callable[[Bout], Sequence[Fact]] = lambda bout: [played(bout)]
        self.replicas: Sequence[str] = ("triton-0",)
        self.num_sends = 0
        self.dies_after: int | None = None

    def append(self, messages: Sequence[Outgoing]) -> None:
        super().append(messages)
        for message in messages:
            super().append([_sent(fact) for fact in self._answers_to(message)])
        self.num_sends += 1
        if self.num_sends == self.dies_after:
            raise KilledError

    def put(self, *what: Fact) -> None:
        """On the log, as if a service had said it."""
        super().append([_sent(fact) for fact in what])

    def facts(self, topic: Topic, *, are_dead: bool = False) -> list[Fact]:
        """Everything on the topic, or of its dead letters, partition after partition."""
        name = topic.dead if are_dead else topic.name
        log = [message for partition in self.partitions_of([name]) for message in self.logs[partition]]
        return [codec.from_message(topic, message).fact for message in log]

    def _answers_to(self, message: Outgoing) -> Sequence[Fact]:
        fact = _read(message)
        if isinstance(fact, Bout):
            return self.answers(fact)
        if isinstance(fact, PolicyPublished):
            return [a_lease(fact.policy, name, served_at=fact.published_at + LOAD_S) for name in self.replicas]
        return []


def _read(message: Outgoing) -> Fact | None:
    topic = next((topic for topic in (BOUTS, POLICIES) if topic.name == message.topic), None)
    return codec.from_message(topic, arrived(message)).fact if topic else None


def _sent(fact: Fact) -> Outgoing:
    return sent(facts.an_event(fact, str(fact)))
