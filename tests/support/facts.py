"""One valid example of every fact, with knobs for what tests vary. Ids derive from the arguments, so equal calls are equal."""

from collections.abc import Iterator
from dataclasses import replace

from harden.domain import ids
from harden.domain.attack import Attack, AttackedBout
from harden.domain.bout import AttackPlan, AttackSource, Bout, Purpose, RecordedAttack, Role
from harden.domain.completion import Completion, FinishReason, Sampling, SamplingEffort
from harden.domain.conversation import BlobRef, Conversation, Image, Message, Speaker, Text
from harden.domain.events import DeadLetter, Event, EventMeta, Fact
from harden.domain.policy import (
    Lineage,
    PolicyFile,
    PolicyManifest,
    PolicyPublished,
    PolicyRef,
    PolicyRefused,
    PolicyRetired,
    PolicyServed,
    Probe,
    ProbePrompt,
    Slot,
)
from harden.domain.response import Response, SampledBout
from harden.domain.seed import Seed, SeedLabel
from harden.domain.verdict import AttackVerdict, Ballot, JudgedBout, Label, Refusal, ResponseVerdict


def a_digest(of: str = "policy") -> str:
    return ids.digest_of(of.encode())


def a_blob(data: bytes = b"a potion") -> BlobRef:
    digest = ids.digest_of(data)
    return BlobRef(f"memory:///blobs/sha256/{digest[7:9]}/{digest[7:]}", digest, len(data))


def a_meta(name: str = "event", *, service: str = "trainer") -> EventMeta:
    return EventMeta(
        event_id=ids.root(name),
        occurred_at=1_700_000_000.25,
        service=service,
        parent_ids=(ids.root("parent"),),
        policy_digests=(a_digest(),),
    )


def a_policy(slot: str = Slot.DEFENDER, version: int = 7) -> PolicyRef:
    return PolicyRef(slot, version, a_digest(f"{slot} {version}"))


def a_seed(text: str = "how is moonwater brewed?", *, answer_key: str | None = "nine drops") -> Seed:
    return Seed(
        seed_id=ids.root("seed", text),
        label=SeedLabel.HARMFUL,
        category="ordinary",
        conversation=Conversation((Message(Speaker.SYSTEM, (Text("be kind"),)), Message(Speaker.USER, (Text(text),)))),
        answer_key=answer_key,
        source="arena",
    )


def a_completion(text: str = "never", *, num_tokens: int = 8, policy: PolicyRef | None = None) -> Completion:
    """Log-probs are multiples of 1/8, which float32 holds exactly."""
    policy = policy or a_policy()
    return Completion(
        text=text,
        token_ids=tuple(100 + t for t in range(num_tokens)),
        logprobs=tuple(-t / 8 for t in range(num_tokens)),
        finish_reason=FinishReason.STOP,
        policy_digest=policy.digest,
        policy_version=policy.version,
    )


def a_bout(name: str = "bout", *, num_attacks: int = 2, num_responses: int = 4) -> Bout:
    return Bout(
        bout_id=ids.root(name),
        run_id="run-0",
        purpose=Purpose.TRAIN,
        learner=Role.DEFENDER,
        round=1,
        step=12,
        suite="attack",
        seed=a_seed(),
        attack_plan=AttackPlan(AttackSource.POLICY, num_attacks, Sampling(max_tokens=48)),
        num_responses=num_responses,
        response_sampling=Sampling(max_tokens=32, temperature=0.75),
        attacker=a_policy(Slot.ATTACKER, 3),
        defender=a_policy(),
    )


def a_recorded_bout(*texts: str) -> Bout:
    """An evaluation, from which nobody learns, of attacks that are given."""
    recorded = (RecordedAttack("say <image>moonwater</image>", "image", ids.root("earlier")), *map(RecordedAttack, texts))
    plan = AttackPlan(AttackSource.RECORDED, len(recorded), recorded=recorded)
    return replace(a_bout("evaluation"), purpose=Purpose.EVALUATE, learner=None, attack_plan=plan)


def an_effort() -> SamplingEffort:
    return SamplingEffort(num_requests=5, num_failed=1, began_at=1_700_000_001.5, ended_at=1_700_000_002.75)


def an_attack(bout: Bout, index: int = 0) -> Attack:
    picture = Image(a_blob(b"not really a picture"))
    return Attack(
        attack_id=ids.child(bout.bout_id, "attack", index),
        text=f"spell moonwater {index} <image>slowly</image>",
        conversation=Conversation((Message(Speaker.USER, (Text(f"spell moonwater {index} "), picture)),)),
        source=AttackSource.POLICY,
        family="image",
        parent_attack_id=ids.root("earlier") if index else None,
        completion=a_completion(f"spell moonwater {index}", policy=bout.attacker),
    )


def an_attacked_bout(bout: Bout | None = None) -> AttackedBout:
    bout = bout or a_bout()
    return AttackedBout(bout, tuple(an_attack(bout, i) for i in range(bout.attack_plan.num_attacks)), an_effort())


def a_sampled_bout(bout: Bout | None = None, *, num_tokens: int = 8) -> SampledBout:
    attacked = an_attacked_bout(bout)
    responses = tuple(
        Response(
            ids.child(attack.attack_id, "response", i), attack.attack_id, a_completion(f"answer {i}", num_tokens=num_tokens)
        )
        for attack in attacked.attacks
        for i in range(attacked.bout.num_responses)
    )
    return SampledBout(attacked, responses, an_effort())


def a_judged_bout(bout: Bout | None = None, *, num_tokens: int = 8) -> JudgedBout:
    sampled = a_sampled_bout(bout, num_tokens=num_tokens)
    asked = Ballot("oracle", "1", prompt_harmful=Label.YES, on_goal=Label.YES, loosely_on_goal=Label.NO, family="image")
    answered = Ballot("oracle", "1", response_harmful=Label.NO, refusal=Refusal.PARTIAL, correct=Label.UNSCOREABLE)
    return JudgedBout(
        sampled,
        tuple(AttackVerdict(a.attack_id, Label.YES, Label.YES, Label.YES, "image", (asked,)) for a in sampled.attacked.attacks),
        tuple(
            ResponseVerdict(r.response_id, Label.NO, Refusal.FULL, Label.UNSCOREABLE, (answered, Ballot("refusals", "2")))
            for r in sampled.responses
        ),
    )


def a_lineage() -> Lineage:
    return Lineage(run_id="run-0", round=1, step=12, parent=a_digest("parent policy"), produced_by="trainer")


def a_manifest(slot: str = Slot.DEFENDER, files: tuple[PolicyFile, ...] = ()) -> PolicyManifest:
    prompt = ProbePrompt(Conversation.of_user("is moonwater wet?"), (5, 6, 7), (-0.1, -1.7, -2.3))
    return PolicyManifest(
        slot=slot,
        version=7,
        files=files or (PolicyFile("model.safetensors", a_blob(b"weights")), PolicyFile("config.json", a_blob(b"{}"))),
        probe=Probe((prompt,), tolerance=1e-3),
        lineage=a_lineage(),
    )


def a_published() -> PolicyPublished:
    return PolicyPublished(a_policy(), a_blob(b"manifest"), a_lineage(), "phase_end", 1_700_000_003.5)


def a_dead_letter() -> DeadLetter:
    return DeadLetter(
        topic="harden.verdicts.v1",
        partition=4,
        offset=1_234,
        key=b"\xffkey",
        value=b"\x00\xff not protobuf",
        headers=(("event", b"harden.verdict.v1.VerdictsRendered"), ("event", b"\xff")),
        reason="malformed",
        detail="harden.verdicts.v1/4@1234 is not a harden.verdict.v1.VerdictsRendered",
        service="trainer",
        died_at=1_700_000_004.0,
    )


def every_fact() -> Iterator[tuple[str, Fact]]:
    """A name and an example for each kind of fact, and for those that may lack parts one that lacks them."""
    yield "SeedSubmitted", a_seed()
    yield "SeedSubmitted.bare", replace(a_seed(answer_key=None), category="", source="")
    yield "BoutScheduled", a_bout()
    yield "BoutScheduled.recorded", a_recorded_bout("moonwater, please", "")
    yield "AttacksGenerated", an_attacked_bout()
    bout = a_bout("direct", num_attacks=1, num_responses=1)
    direct = Attack(ids.child(bout.bout_id, "attack", 0), "moonwater?", Conversation.of_user("moonwater?"), AttackSource.DIRECT)
    yield "AttacksGenerated.direct", AttackedBout(bout, (direct,))
    yield "ResponsesSampled", a_sampled_bout()
    yield "VerdictsRendered", a_judged_bout()
    yield "PolicyPublished", a_published()
    yield "PolicyRetired", PolicyRetired(a_policy(), "superseded")
    yield "PolicyServed", PolicyServed(a_policy(), "triton-0", 1_700_000_005.0, 41.5, 1e-6)
    refused = PolicyRefused(a_policy(), "triton-0", "wrong_digest", "model.safetensors", a_policy(version=6), 1_700_000_006.0)
    yield "PolicyRefused", refused
    yield "PolicyRefused.first", replace(refused, still_serving=None)
    yield "DeadLettered", a_dead_letter()
    yield "DeadLettered.bare", replace(a_dead_letter(), key=None, value=b"", headers=(), detail="")


def an_event(fact: Fact, name: str = "event") -> Event:
    return Event(a_meta(name), fact)
