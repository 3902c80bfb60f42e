"""Every fact of the domain comes back from the wire unchanged."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harden import codec
from harden.codec.facts import BY_EVENT
from harden.domain import ids
from harden.domain.attack import Attack, AttackedBout
from harden.domain.bout import AttackPlan, Bout, Purpose, RecordedAttack, Role
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
from harden.domain.verdict import Answer, Ballot, ContinuedBout, JudgedBout, Verdict
from tests.support.facts import a_bout, a_completion, a_judged_bout, an_event, every_fact
from tests.support.wire import arrived, sent, topic_of

UINT32 = st.integers(0, 2**32 - 1)
UINT64 = st.integers(0, 2**64 - 1)
# Every text but lone surrogates, which are not characters and have no UTF-8.
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
NAME = st.text("abcdefghij-_0123456789", min_size=1, max_size=12)
REASON = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
IDS = st.binary(min_size=16, max_size=16).map(bytes.hex)
DIGESTS = st.binary(max_size=4).map(ids.digest_of)
SLOTS = st.from_regex(r"[a-z][a-z0-9_]{0,62}", fullmatch=True)
TIMES = st.floats(0, 1e11)
AMOUNTS = st.floats(0, 1e9)
TOKENS = st.lists(st.tuples(UINT32, st.floats(-1e6, 0, width=32)), max_size=6)

BLOBS = st.builds(BlobRef, uri=NAME.map("s3://bucket/{}".format), sha256=DIGESTS, num_bytes=UINT64)
PARTS = st.one_of(st.builds(Text, TEXT), st.builds(Image, BLOBS, st.sampled_from(["image/png", "image/svg+xml"])))
MESSAGES = st.builds(Message, st.sampled_from(Speaker), st.lists(PARTS, min_size=1, max_size=3).map(tuple))
CONVERSATIONS = st.builds(Conversation, st.lists(MESSAGES, min_size=1, max_size=3).map(tuple))
POLICIES = st.builds(PolicyRef, SLOTS, UINT64, DIGESTS)
SAMPLINGS = st.builds(Sampling, st.integers(1, 131_072), AMOUNTS)
SIGNATURES = st.builds(Signature, NAME, st.binary(max_size=64))
STATS = st.builds(SamplingStats, UINT32, UINT32, TIMES, TIMES)
SEEDS = st.builds(Seed, IDS, st.sampled_from(SeedLabel), NAME, CONVERSATIONS, st.none() | TEXT, TEXT)
COMPLETIONS = st.builds(
    lambda text, tokens, finish, digest, version, hidden: Completion(
        text, tuple(t for t, _ in tokens), tuple(p for _, p in tokens), finish, digest, version, hidden
    ),
    TEXT,
    TOKENS,
    st.sampled_from(FinishReason),
    DIGESTS,
    UINT64,
    TEXT,
)
RECORDED = st.builds(RecordedAttack, TEXT, NAME, st.none() | IDS)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
PARAMETERS = st.dictionaries(NAMES, TEXT | st.floats(-1e9, 1e9) | st.booleans(), max_size=3)
PLANS = st.one_of(
    st.builds(
        lambda strategy, n, sampling, turns, parameters: AttackPlan(strategy, n, sampling, (), turns, parameters),
        NAMES.filter(lambda name: name not in ("policy", "recorded")),
        st.integers(1, 4096),
        st.none() | SAMPLINGS,
        st.integers(3, 16),
        PARAMETERS,
    ),
    st.builds(lambda n, sampling: AttackPlan("policy", n, sampling, turns=3), st.integers(1, 4096), SAMPLINGS),
    st.lists(RECORDED, min_size=1, max_size=3).map(
        lambda recorded: AttackPlan("recorded", len(recorded), recorded=tuple(recorded), turns=3)
    ),
)
BOUTS = st.builds(
    Bout,
    bout_id=IDS,
    run_id=NAME,
    purpose=st.sampled_from(Purpose),
    learners=st.lists(st.sampled_from(Role), max_size=2, unique=True).map(tuple),
    round=UINT32,
    step=UINT32,
    suite=NAME,
    seed=SEEDS,
    attack_plan=PLANS,
    num_responses=st.integers(0, 3),
    response_sampling=SAMPLINGS,
    attacker=POLICIES,
    defender=POLICIES,
    panel=NAMES,
)
ATTACKS = st.builds(
    Attack, IDS, TEXT, CONVERSATIONS, NAMES, NAME, st.none() | IDS, st.none() | COMPLETIONS, st.none() | CONVERSATIONS
)
ANSWERS = st.lists(
    st.builds(lambda q, label, why: Answer(q, label, None, why), NAMES, NAME, TEXT)
    | st.builds(lambda q, score, why: Answer(q, None, score, why), NAMES, st.floats(-1e9, 1e9), TEXT),
    max_size=3,
).map(tuple)
BALLOTS = st.lists(st.builds(Ballot, NAME, NAME, ANSWERS), max_size=2).map(tuple)


@st.composite
def attacked_bouts(draw: st.DrawFn) -> AttackedBout:
    """In any turn of its first three."""
    bout = draw(BOUTS)
    judged: JudgedBout | None = None
    for _ in range(draw(st.integers(0, 2))):
        judged = draw(judgements_of(draw(responses_to(draw(attacks_on(bout, judged))))))
    return draw(attacks_on(bout, judged))


@st.composite
def attacks_on(draw: st.DrawFn, bout: Bout, previous: JudgedBout | None) -> AttackedBout:
    return AttackedBout(bout, draw(st.lists(ATTACKS, min_size=1, max_size=2).map(tuple)), draw(st.none() | STATS), previous)


@st.composite
def responses_to(draw: st.DrawFn, attacked: AttackedBout) -> SampledBout:
    responses = tuple(
        Response(draw(IDS), attack.attack_id, draw(COMPLETIONS))
        for attack in attacked.attacks
        for _ in range(attacked.bout.num_responses)
    )
    return SampledBout(attacked, responses, draw(st.none() | STATS))


@st.composite
def judgements_of(draw: st.DrawFn, sampled: SampledBout) -> JudgedBout:
    on_attacks = tuple(Verdict(a.attack_id, draw(ANSWERS), draw(BALLOTS)) for a in sampled.attacked.attacks)
    return JudgedBout(
        sampled, on_attacks, tuple(Verdict(r.response_id, draw(ANSWERS), draw(BALLOTS)) for r in sampled.responses)
    )


ATTACKED = attacked_bouts()
SAMPLED = ATTACKED.flatmap(responses_to)
JUDGED = SAMPLED.flatmap(judgements_of)
LINEAGES = st.builds(Lineage, NAME, UINT32, UINT32, st.none() | DIGESTS, NAME)
DEAD_LETTERS = st.builds(
    DeadLetter,
    topic=st.just("harden.bouts.v1"),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    key=st.none() | st.binary(max_size=20),
    value=st.binary(max_size=200),
    headers=st.lists(st.tuples(NAME, st.binary(max_size=8)), max_size=3).map(tuple),
    reason=REASON,
    detail=TEXT,
    service=NAME,
    died_at=TIMES,
)
FIGURES = st.floats(-1e9, 1e9)
SHARES = st.floats(0, 1)
REASONED = st.dictionaries(REASON, UINT32, max_size=3)
RATES = st.builds(lambda n, k, *bounds: Rate(min(n, k), n, *bounds), UINT32, UINT32, SHARES, SHARES, SHARES)
# A measure without a suite says nothing, and the wire has no room for it.
BY_SUITE = st.dictionaries(NAMES, st.dictionaries(NAME, RATES, min_size=1, max_size=2), max_size=3)
BY_ROLE = st.dictionaries(st.sampled_from(Role), DIGESTS, max_size=2)
ACCOUNTS = st.builds(BoutAccount, UINT32, UINT32, REASONED, UINT32, UINT32)
MAYBE = st.none() | AMOUNTS
STEPS = st.builds(
    StepFinished,
    run_id=NAME,
    role=st.sampled_from(Role),
    round=UINT32,
    step=UINT32,
    algorithm=NAME,
    trained=UINT32,
    seconds=AMOUNTS,
    dropped=REASONED,
    side_run=NAME | st.just(""),
    skipped=NAME | st.just(""),
    reward_mean=st.none() | FIGURES,
    success=st.none() | SHARES,
    zero_variance_share=st.none() | SHARES,
    kl=st.none() | FIGURES,
    entropy=MAYBE,
    grad_norm=MAYBE,
    importance_ess=MAYBE,
    lag_max=UINT32,
    figures=st.dictionaries(NAME, FIGURES, max_size=3),
)
ROUNDS = st.builds(
    RoundFinished,
    run_id=NAME,
    round=UINT32,
    rates=BY_SUITE,
    attacker=st.builds(AttackerFigures, *[st.none() | RATES] * 5, MAYBE, st.none() | UINT32),
    families=st.dictionaries(NAME, st.builds(FamilyFigures, UINT32, UINT32), max_size=2),
    policies=BY_ROLE,
    bouts=ACCOUNTS,
    swaps=st.builds(SwapAccount, *[UINT32] * 4, *[MAYBE] * 4),
    breaches=st.lists(TEXT, max_size=2).map(tuple),
    rejected=st.none() | st.builds(Rejected, BY_SUITE, BY_ROLE),
    evaluation_seconds=AMOUNTS,
)
BEST_RESPONSES = st.builds(
    BestResponseFinished,
    NAME,
    UINT32,
    st.integers(1, 2**32 - 1),
    st.lists(st.builds(AdaptiveAttack, st.just("trained"), RATES, RATES, RATES, AMOUNTS, RATES), max_size=2).map(tuple),
)
CROSS_PLAYS = st.builds(
    lambda run_id, rate, attackers, defenders: CrossPlayFinished(
        run_id, attackers, defenders, tuple(tuple(rate for _ in defenders) for _ in attackers)
    ),
    NAME,
    RATES,
    st.lists(UINT32, max_size=3).map(tuple),
    st.lists(UINT32, max_size=3).map(tuple),
)
FACTS = st.one_of(
    SEEDS,
    BOUTS,
    ATTACKED,
    SAMPLED,
    JUDGED,
    JUDGED.filter(lambda judged: judged.has_turns_left).map(ContinuedBout),
    st.builds(PolicyPublished, POLICIES, BLOBS, LINEAGES, NAME, REASON, TIMES, SIGNATURES),
    st.builds(PolicyRetired, POLICIES, REASON),
    st.builds(PolicyServed, POLICIES, NAME, TIMES, AMOUNTS, AMOUNTS, TIMES, st.booleans()),
    st.builds(PolicyRefused, POLICIES, NAME, REASON, TEXT, st.none() | POLICIES, TIMES),
    STEPS,
    ROUNDS,
    BEST_RESPONSES,
    CROSS_PLAYS,
    st.builds(SideRunFinished, NAME, NAMES, UINT32, RATES, RATES, st.lists(TEXT, max_size=2).map(tuple), ACCOUNTS),
    st.builds(RunFinished, NAME, UINT64, st.none() | NAME, AMOUNTS),
    DEAD_LETTERS,
)
METAS = st.builds(EventMeta, IDS, TIMES, NAME, st.lists(IDS, max_size=3).map(tuple), st.lists(DIGESTS, max_size=3).map(tuple))
PROBES = st.builds(
    lambda conversation, tokens: ProbePrompt(conversation, tuple(t for t, _ in tokens), tuple(p for _, p in tokens)),
    CONVERSATIONS,
    st.lists(st.tuples(UINT32, st.floats(-1e300, 0)), min_size=1, max_size=3),
)
MANIFESTS = st.builds(
    PolicyManifest,
    st.lists(st.builds(PolicyFile, NAME.map("weights/a{}.safetensors".format), BLOBS), min_size=1, max_size=3).map(tuple),
    st.builds(Probe, st.lists(PROBES, min_size=1, max_size=2).map(tuple), st.floats(1e-9, 1)),
    LINEAGES,
    st.none() | st.builds(PolicyBase, DIGESTS, BLOBS),
)


def read_back(event: Event) -> Event:
    return codec.from_message(topic_of(event.fact), arrived(sent(event)))


@settings(max_examples=150, deadline=None)
@given(METAS, FACTS)
def test_every_event_comes_back_as_it_went(meta: EventMeta, fact: Fact) -> None:
    event = Event(meta, fact)
    got = read_back(event)
    assert got.fact == fact
    # A dead letter's envelope follows from the place it stood at.
    assert got.meta == meta or isinstance(fact, DeadLetter)


@pytest.mark.parametrize(("name", "fact"), list(every_fact()))
def test_each_example_comes_back_as_it_went(name: str, fact: Fact) -> None:
    assert read_back(an_event(fact, name)).fact == fact


def test_the_examples_leave_no_event_out() -> None:
    assert {name.split(".")[0] for name, _ in every_fact()} == {event.rsplit(".")[-1] for event in BY_EVENT}


@settings(max_examples=50, deadline=None)
@given(MANIFESTS)
def test_a_manifest_comes_back_as_it_went_and_always_gives_the_same_bytes(manifest: PolicyManifest) -> None:
    payload = codec.encode_manifest(manifest)
    assert codec.decode_manifest(payload) == manifest
    assert codec.encode_manifest(codec.decode_manifest(payload)) == payload


def test_logprobs_keep_the_precision_of_the_engine() -> None:
    """The wire holds float32, which is what engines compute in."""
    judged = a_judged_bout()
    first = replace(judged.sampled.responses[0], completion=replace(a_completion(num_tokens=1), logprobs=(-0.1,)))
    sampled = replace(judged.sampled, responses=(first, *judged.sampled.responses[1:]))
    got = read_back(an_event(sampled)).fact
    assert isinstance(got, SampledBout)
    assert got.responses[0].completion.logprobs[0] == pytest.approx(-0.1, rel=2**-24)


def test_a_bout_of_64_responses_is_a_small_message() -> None:
    event = an_event(a_judged_bout(a_bout(num_attacks=2, num_responses=32)))
    assert len(sent(event).value) < 25_000
