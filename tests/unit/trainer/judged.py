"""Judged bouts with defaults, for the rules of the trainer."""

from collections.abc import Sequence

from harden.domain.attack import Attack, AttackedBout
from harden.domain.bout import AttackPlan, Bout, Purpose, Role, Strategy
from harden.domain.completion import Completion, FinishReason, Sampling, SamplingStats
from harden.domain.conversation import Conversation
from harden.domain.policy import PolicyRef, Slot
from harden.domain.response import Response, SampledBout
from harden.domain.seed import Seed, SeedLabel
from harden.domain.verdict import JudgedBout, Label, Refusal, Verdict
from tests.support import builders
from tests.support.builders import on_attack as on_attack

SAMPLING = Sampling(8)
EFFORT = SamplingStats(1, 0, 0.0, 1.0)


def a_seed(label: SeedLabel = SeedLabel.HARMFUL, *, answer_key: str | None = None, text: str = "how to brew it") -> Seed:
    return Seed("seed-1", label, "restricted", Conversation.of_user(text), answer_key)


def digest_of(version: int) -> str:
    return f"sha256:{version:064x}"


def a_completion(*, version: int = 1, finish: FinishReason = FinishReason.STOP) -> Completion:
    return Completion("said", (7, 2), (-1.0, -0.5), finish, digest_of(version), version)


def on_response(harmful: Label = Label.NO, refusal: Refusal = Refusal.NONE, correct: Label = Label.UNSCOREABLE) -> Verdict:
    return builders.on_response("response", harmful, refusal, correct)


LEAK = on_response(Label.YES)
REFUSED = on_response(refusal=Refusal.FULL)
OTHER = on_response()


def a_judged_bout(
    exchanges: Sequence[tuple[Verdict, Sequence[Verdict]]],
    *,
    seed: Seed | None = None,
    learner: Role | None = Role.DEFENDER,
    purpose: Purpose = Purpose.TRAIN,
    strategy: str = Strategy.POLICY,
    versions: Sequence[int] | None = None,
    finish: FinishReason = FinishReason.STOP,
) -> JudgedBout:
    """One attack for each exchange, one response for each of its verdicts. `versions`: of the responses, in order."""
    policy = PolicyRef(Slot.DEFENDER, 1, "sha256:" + "0" * 64)
    num_responses = len(exchanges[0][1])
    plan = AttackPlan(strategy, len(exchanges), SAMPLING if strategy == Strategy.POLICY else None)
    learners = (learner,) if learner else ()
    bout = Bout(
        "bout-1", "run", purpose, learners, 1, 0, "attack", seed or a_seed(), plan, num_responses, SAMPLING, policy, policy
    )
    written = a_completion() if strategy == Strategy.POLICY else None
    attacks = tuple(
        Attack(f"a{i}", f"text {i}", Conversation.of_user(f"text {i}"), strategy, completion=written)
        for i in range(len(exchanges))
    )
    verdicts = [verdict for _, answers in exchanges for verdict in answers]
    versions = versions or [1] * len(verdicts)
    responses = tuple(
        Response(f"r{i}", f"a{i // num_responses}", a_completion(version=version, finish=finish))
        for i, version in enumerate(versions)
    )
    sampled = SampledBout(AttackedBout(bout, attacks), responses, EFFORT)
    return JudgedBout(sampled, tuple(verdict for verdict, _ in exchanges), tuple(verdicts))
