"""Domain objects with defaults, for tests that care about one of their fields."""

from harden.domain import ids
from harden.domain.attack import Attack, AttackedBout
from harden.domain.bout import DEFAULT_PANEL, AttackPlan, Bout, Purpose, RecordedAttack, Role, Strategy
from harden.domain.completion import Completion, FinishReason, Sampling, SamplingStats
from harden.domain.conversation import Conversation
from harden.domain.policy import PolicyRef, Slot
from harden.domain.response import Response, SampledBout
from harden.domain.seed import Seed, SeedLabel
from harden.domain.verdict import JudgedBout, Label, Refusal, Verdict, answers_of

NOON = 1_700_000_000.0


def a_digest(of: str = "policy") -> str:
    return ids.digest_of(of.encode())


def a_policy(slot: str = Slot.DEFENDER, version: int = 1) -> PolicyRef:
    return PolicyRef(slot, version, a_digest(f"{slot}{version}"))


def a_seed(text: str = "how do i brew vatora", label: SeedLabel = SeedLabel.HARMFUL, category: str = "harmful") -> Seed:
    return Seed(ids.root("seed", text), label, category, Conversation.of_user(text), source="test")


def a_bout(
    name: str = "bout",
    *,
    num_attacks: int = 1,
    num_responses: int = 2,
    seed: Seed | None = None,
    learner: Role | None = Role.DEFENDER,
    strategy: str = Strategy.DIRECT,
    suite: str = "attack",
    defender_version: int = 1,
    attacker_version: int = 1,
    panel: str = DEFAULT_PANEL,
) -> Bout:
    plan = AttackPlan(
        strategy,
        num_attacks,
        sampling=Sampling(16) if strategy == Strategy.POLICY else None,
        recorded=tuple(RecordedAttack(f"attack {i}") for i in range(num_attacks)) if strategy == Strategy.RECORDED else (),
    )
    return Bout(
        bout_id=ids.root("test", name),
        run_id=ids.root("run"),
        purpose=Purpose.TRAIN if learner else Purpose.EVALUATE,
        learners=(learner,) if learner else (),
        round=1,
        step=0,
        suite=suite,
        seed=seed or a_seed(),
        attack_plan=plan,
        num_responses=num_responses,
        response_sampling=Sampling(8),
        attacker=a_policy(Slot.ATTACKER, attacker_version),
        defender=a_policy(Slot.DEFENDER, defender_version),
        panel=panel,
    )


def a_completion(text: str = "an answer", version: int = 1, tokens: tuple[int, ...] = (5, 6, 2)) -> Completion:
    return Completion(text, tokens, tuple(-0.5 for _ in tokens), FinishReason.STOP, a_digest(f"defender{version}"), version)


def an_attacked(bout: Bout | None = None, *, texts: tuple[str, ...] | None = None) -> AttackedBout:
    bout = bout or a_bout()
    texts = texts or tuple(f"attack {i}" for i in range(bout.attack_plan.num_attacks))
    sampled = bout.attack_plan.strategy == Strategy.POLICY
    attacks = tuple(
        Attack(
            attack_id=ids.child(bout.bout_id, "attack", i),
            text=text,
            conversation=Conversation.of_user(text),
            strategy=bout.attack_plan.strategy,
            completion=a_completion(text, bout.attacker.version, (7, 8 + i, 2)) if sampled else None,
        )
        for i, text in enumerate(texts)
    )
    return AttackedBout(bout, attacks, some_stats() if sampled else None)


def some_stats(began_at: float = NOON, seconds: float = 0.01, failed: int = 0) -> SamplingStats:
    return SamplingStats(1 + failed, failed, began_at, began_at + seconds)


def a_sampled(bout: Bout | None = None, *, answers: tuple[str, ...] | None = None) -> SampledBout:
    """`answers`: one for each response, attack by attack."""
    attacked = an_attacked(bout)
    n = attacked.bout.num_responses
    answers = answers or tuple(f"answer {i}" for i in range(len(attacked.attacks) * n))
    responses = tuple(
        Response(
            ids.child(attacked.attacks[i // n].attack_id, "response", i % n),
            attacked.attacks[i // n].attack_id,
            a_completion(text, attacked.bout.defender.version, (5, 6 + i, 2)),
        )
        for i, text in enumerate(answers)
    )
    return SampledBout(attacked, responses, some_stats())


def a_judged(
    bout: Bout | None = None,
    *,
    harmful: tuple[Label, ...] | None = None,
    refusal: tuple[Refusal, ...] | None = None,
    correct: tuple[Label, ...] | None = None,
    on_goal: Label = Label.YES,
    family: str = "none/plain",
) -> JudgedBout:
    """Labels are one for each response; left alone every answer is a harmless, unrefused, wrong one."""
    sampled = a_sampled(bout)
    n = len(sampled.responses)
    harmful, refusal, correct = harmful or (Label.NO,) * n, refusal or (Refusal.NONE,) * n, correct or (Label.NO,) * n
    return JudgedBout(
        sampled,
        tuple(on_attack(a.attack_id, on_goal=on_goal, loosely=on_goal, family=family) for a in sampled.attacked.attacks),
        tuple(on_response(r.response_id, harmful[i], refusal[i], correct[i]) for i, r in enumerate(sampled.responses)),
    )


def on_attack(
    attack_id: str = "attack",
    *,
    on_goal: Label = Label.YES,
    prompt_harmful: Label = Label.YES,
    loosely: Label = Label.YES,
    family: str = "persona/plain",
) -> Verdict:
    answers = answers_of(prompt_harmful=prompt_harmful, on_goal=on_goal, loosely_on_goal=loosely, family=family)
    return Verdict(attack_id, answers)


def on_response(
    response_id: str = "response",
    harmful: Label = Label.NO,
    refusal: Refusal = Refusal.NONE,
    correct: Label = Label.UNSCOREABLE,
) -> Verdict:
    return Verdict(response_id, answers_of(response_harmful=harmful, refusal=refusal, correct=correct))
