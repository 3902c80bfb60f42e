"""One valid example of every fact, with knobs for what tests vary. Ids derive from the arguments, so equal calls are equal."""

from collections.abc import Iterator
from dataclasses import replace

from harden.domain import ids
from harden.domain.attack import Attack, AttackedBout
from harden.domain.bout import AttackPlan, Bout, Purpose, RecordedAttack, Role, Strategy
from harden.domain.completion import Completion, FinishReason, Sampling, SamplingStats
from harden.domain.conversation import BlobRef, Conversation, Image, Message, Speaker, Text
from harden.domain.events import DeadLetter, Event, EventMeta, Fact
from harden.domain.policy import (
    Lineage,
    PolicyBase,
    PolicyFile,
    PolicyManifest,
    PolicyPublished,
    PolicyRef,
    PolicyRefused,
    PolicyRetired,
    PolicyServed,
    Probe,
    ProbePrompt,
    Signature,
    Slot,
)
from harden.domain.rate import Rate
from harden.domain.response import Response, SampledBout
from harden.domain.round import (
    AdaptiveAttack,
    AttackerFigures,
    BestResponseFinished,
    BoutAccount,
    CrossPlayFinished,
    FamilyFigures,
    Rejected,
    RoundFinished,
    RunFinished,
    SideRunFinished,
    SwapAccount,
)
from harden.domain.seed import Seed, SeedLabel
from harden.domain.step import StepFinished
from harden.domain.verdict import Answer, Ballot, ContinuedBout, JudgedBout, Verdict, answers_of


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
        learners=(Role.DEFENDER,),
        round=1,
        step=12,
        suite="attack",
        seed=a_seed(),
        attack_plan=AttackPlan(Strategy.POLICY, num_attacks, Sampling(max_tokens=48)),
        num_responses=num_responses,
        response_sampling=Sampling(max_tokens=32, temperature=0.75),
        attacker=a_policy(Slot.ATTACKER, 3),
        defender=a_policy(),
    )


def a_recorded_bout(*texts: str) -> Bout:
    """An evaluation, from which nobody learns, of attacks that are given."""
    recorded = (RecordedAttack("say <image>moonwater</image>", "image", ids.root("earlier")), *map(RecordedAttack, texts))
    plan = AttackPlan(Strategy.RECORDED, len(recorded), recorded=recorded)
    return replace(a_bout("evaluation"), purpose=Purpose.EVALUATE, learners=(), attack_plan=plan)


def some_stats() -> SamplingStats:
    return SamplingStats(num_requests=5, num_failed=1, began_at=1_700_000_001.5, ended_at=1_700_000_002.75)


def an_attack(bout: Bout, index: int = 0) -> Attack:
    picture = Image(a_blob(b"not really a picture"))
    return Attack(
        attack_id=ids.child(bout.bout_id, "attack", index),
        text=f"spell moonwater {index} <image>slowly</image>",
        conversation=Conversation((Message(Speaker.USER, (Text(f"spell moonwater {index} "), picture)),)),
        strategy=Strategy.POLICY,
        family="image",
        parent_attack_id=ids.root("earlier") if index else None,
        completion=a_completion(f"spell moonwater {index}", policy=bout.attacker),
    )


def an_attacked_bout(bout: Bout | None = None) -> AttackedBout:
    bout = bout or a_bout()
    return AttackedBout(bout, tuple(an_attack(bout, i) for i in range(bout.attack_plan.num_attacks)), some_stats())


def a_sampled_bout(bout: Bout | None = None, *, num_tokens: int = 8) -> SampledBout:
    attacked = an_attacked_bout(bout)
    responses = tuple(
        Response(
            ids.child(attack.attack_id, "response", i), attack.attack_id, a_completion(f"answer {i}", num_tokens=num_tokens)
        )
        for attack in attacked.attacks
        for i in range(attacked.bout.num_responses)
    )
    return SampledBout(attacked, responses, some_stats())


def a_judged_bout(bout: Bout | None = None, *, num_tokens: int = 8) -> JudgedBout:
    sampled = a_sampled_bout(bout, num_tokens=num_tokens)
    asked = answers_of(prompt_harmful="yes", on_goal="yes", loosely_on_goal="no", family="image")
    answered = answers_of(response_harmful="no", refusal="partial", correct="unscoreable")
    decided = answers_of(response_harmful="no", refusal="full", correct="unscoreable")
    return JudgedBout(
        sampled,
        tuple(Verdict(a.attack_id, asked, (Ballot("oracle", "1", asked),)) for a in sampled.attacked.attacks),
        tuple(
            Verdict(r.response_id, decided, (Ballot("oracle", "1", answered), Ballot("refusals", "2")))
            for r in sampled.responses
        ),
    )


def a_two_turn_bout() -> JudgedBout:
    """The second and last turn, judged with a score and a reason, by a policy that thinks before it answers."""
    plan = AttackPlan("crescendo", 1, Sampling(48), turns=2, parameters={"depth": 2.0, "tone": "kind", "backtrack": True})
    bout = replace(a_bout("two turns"), learners=(Role.ATTACKER, Role.DEFENDER), attack_plan=plan, panel="strict")
    first = a_judged_bout(bout)
    second = an_attacked_bout(bout)
    attack = replace(
        second.attacks[0], attack_id=ids.child(bout.bout_id, "attack.1", 0), strategy="crescendo", prompt=a_seed().conversation
    )
    response = Response(
        ids.child(attack.attack_id, "response", 0), attack.attack_id, replace(a_completion("never"), hidden="moonwater?")
    )
    responses = tuple(replace(response, response_id=ids.child(attack.attack_id, "response", i)) for i in range(4))
    sampled = SampledBout(replace(second, attacks=(attack,), previous=first), responses, some_stats())
    said = (Answer("harm", score=0.25, why="it says moonwater"), Answer("refusal", "none"))
    verdicts = tuple(Verdict(r.response_id, said, (Ballot("scorer", "1", said),)) for r in responses)
    return JudgedBout(sampled, (Verdict(attack.attack_id, ()),), verdicts)


def a_lineage() -> Lineage:
    return Lineage(run_id="run-0", round=1, step=12, parent=a_digest("parent policy"), produced_by="trainer")


def a_manifest(files: tuple[PolicyFile, ...] = (), base: PolicyBase | None = None) -> PolicyManifest:
    prompt = ProbePrompt(Conversation.of_user("is moonwater wet?"), (5, 6, 7), (-0.1, -1.7, -2.3))
    return PolicyManifest(
        files=files or (PolicyFile("model.safetensors", a_blob(b"weights")), PolicyFile("config.json", a_blob(b"{}"))),
        probe=Probe((prompt,), tolerance=1e-3),
        lineage=a_lineage(),
        base=base,
    )


def a_published() -> PolicyPublished:
    return PolicyPublished(
        a_policy(), a_blob(b"manifest"), a_lineage(), "run-0", "phase_end", 1_700_000_003.5, Signature("ed25519-0", b"\1" * 64)
    )


def a_rate(k: int = 3, n: int = 8) -> Rate:
    return Rate(k, n, k / n, k / n / 2, min(1.0, k / n + 0.25))


def a_step(round_: int = 1, step: int = 0) -> StepFinished:
    return StepFinished(
        "run-0", Role.DEFENDER, round_, step, "grpo", trained=7, seconds=1.25, dropped={"stale": 1},
        reward_mean=0.25, success=0.5, zero_variance_share=0.125, kl=0.01, entropy=1.5, grad_norm=0.75,
        importance_ess=0.875, lag_max=2, figures={"grpo.clip_share": 0.0625},
    )  # fmt: skip


def a_round(round_: int = 1, k: int = 3) -> RoundFinished:
    return RoundFinished(
        run_id="run-0",
        round=round_,
        rates={
            "attack_success": {"trained": a_rate(k), "listed_never_attacked": a_rate(5)},
            "attack_any": {"trained": a_rate(2, 4), "listed_never_attacked": a_rate(3, 4)},
            "attack_success_t1": {"trained": a_rate(4)},
            "attack_any_t1": {"trained": a_rate(3, 4)},
            "refusal": {"ordinary": a_rate(0)},
            "accuracy": {"ordinary": a_rate(8)},
        },
        attacker=AttackerFigures(a_rate(4), a_rate(1), a_rate(5), a_rate(2), a_rate(7), 2.5, 11),
        families={"pig_latin": FamilyFigures(8, 4)},
        policies={Role.ATTACKER: a_digest("attacker"), Role.DEFENDER: a_digest(f"defender of {round_}")},
        bouts=BoutAccount(10, 7, {"stale": 2}, 1, 0),
        swaps=SwapAccount(2, 0, 640, 0, 120.0, 210.0, 40.0, 55.0),
        breaches=(),
        rejected=None,
        evaluation_seconds=3.5,
    )


def a_rejected_round() -> RoundFinished:
    one = a_round()
    policies = {**one.policies, Role.DEFENDER: a_digest("rejected")}
    return replace(
        one,
        breaches=("refusal_ordinary: 0.500 is above 0.15",),
        rejected=Rejected({"refusal": {"ordinary": a_rate(4)}, "attack_success": {"trained": a_rate(0)}}, policies),
    )


def a_side_run() -> SideRunFinished:
    return SideRunFinished("run-0", "monitor_arm", 12, a_rate(7), a_rate(2), ("refusal_ordinary: high",), BoutAccount(4, 4))


def a_cross_play() -> CrossPlayFinished:
    return CrossPlayFinished("run-0", (0, 1), (0, 1, 2), tuple(tuple(a_rate(k) for k in row) for row in ((5, 1, 0), (6, 2, 1))))


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
    continued = a_two_turn_bout().sampled.attacked.previous
    assert continued is not None
    yield "BoutContinued", ContinuedBout(continued)
    yield "AttacksGenerated", an_attacked_bout()
    yield "AttacksGenerated.turn", a_two_turn_bout().sampled.attacked
    bout = a_bout("direct", num_attacks=1, num_responses=1)
    direct = Attack(ids.child(bout.bout_id, "attack", 0), "moonwater?", Conversation.of_user("moonwater?"), Strategy.DIRECT)
    yield "AttacksGenerated.direct", AttackedBout(bout, (direct,))
    yield "ResponsesSampled", a_sampled_bout()
    unasked = a_bout("no responses", num_responses=0)
    yield "ResponsesSampled.none", SampledBout(an_attacked_bout(unasked), ())
    yield "VerdictsRendered", a_judged_bout()
    yield "VerdictsRendered.turns", a_two_turn_bout()
    yield "PolicyPublished", a_published()
    yield "PolicyRetired", PolicyRetired(a_policy(), "superseded")
    yield "PolicyServed", PolicyServed(a_policy(), "triton-0", 1_700_000_005.0, 41.5, 1e-6, 1_700_000_015.0, True)
    refused = PolicyRefused(a_policy(), "triton-0", "wrong_digest", "model.safetensors", a_policy(version=6), 1_700_000_006.0)
    yield "PolicyRefused", refused
    yield "PolicyRefused.first", replace(refused, still_serving=None)
    yield "StepFinished", a_step()
    yield "StepFinished.bare", StepFinished("run-0", Role.ATTACKER, 0, 0, "dpo", trained=0, seconds=0.0, skipped="non_finite")
    yield "RoundFinished", a_round()
    yield "RoundFinished.rejected", a_rejected_round()
    bare = AttackerFigures(), {}, {}, BoutAccount(), SwapAccount()
    yield "RoundFinished.bare", RoundFinished("run-0", 0, {}, *bare, (), None, 0.0)
    yield "SideRunFinished", a_side_run()
    adapted = AdaptiveAttack("trained", a_rate(1), a_rate(5), a_rate(7), 3.5, a_rate(6))
    yield "BestResponseFinished", BestResponseFinished("run-0", 10, 8, (adapted, replace(adapted, goals="never_attacked")))
    yield "CrossPlayFinished", a_cross_play()
    yield "RunFinished", RunFinished("run-0", 7, None, 12.5)
    yield "RunFinished.failed", RunFinished("run-0", 7, "no replica serves the defender", 12.5)
    yield "DeadLettered", a_dead_letter()
    yield "DeadLettered.bare", replace(a_dead_letter(), key=None, value=b"", headers=(), detail="")


def an_event(fact: Fact, name: str = "event") -> Event:
    return Event(a_meta(name), fact)
