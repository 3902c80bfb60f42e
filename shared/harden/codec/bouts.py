"""The bout and its stages <-> their messages. `write_x` and `read_x` as in harden.codec.common.

Responses and verdicts are the many of a bout: what is done for each of them decides what a message costs.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from harden.attack.v1 import attack_pb2
from harden.bout.v1 import bout_pb2
from harden.codec.common import (
    read_completion,
    read_conversation,
    read_effort,
    read_sampling,
    write_completion,
    write_conversation,
    write_effort,
    write_sampling,
)
from harden.codec.enums import ATTACK_SOURCE, LABEL, PURPOSE, REFUSAL, ROLE, SEED_LABEL
from harden.codec.policies import read_policy_ref, write_policy_ref
from harden.domain.attack import Attack, AttackedBout
from harden.domain.bout import AttackPlan, Bout, RecordedAttack
from harden.domain.response import Response, SampledBout
from harden.domain.seed import Seed
from harden.domain.verdict import AttackVerdict, Ballot, JudgedBout, ResponseVerdict
from harden.response.v1 import response_pb2
from harden.seed.v1 import seed_pb2
from harden.verdict.v1 import verdict_pb2


def write_seed(into: seed_pb2.Seed, seed: Seed) -> None:
    into.seed_id = seed.seed_id
    into.label = SEED_LABEL.number[seed.label]
    into.category = seed.category
    write_conversation(into.conversation, seed.conversation)
    if seed.answer_key is not None:
        into.answer_key = seed.answer_key
    into.source = seed.source


def read_seed(message: seed_pb2.Seed) -> Seed:
    return Seed(
        seed_id=message.seed_id,
        label=SEED_LABEL.member[message.label],
        category=message.category,
        conversation=read_conversation(message.conversation),
        answer_key=message.answer_key if message.HasField("answer_key") else None,
        source=message.source,
    )


def write_plan(into: bout_pb2.AttackPlan, plan: AttackPlan) -> None:
    into.source = ATTACK_SOURCE.number[plan.source]
    into.num_attacks = plan.num_attacks
    if plan.sampling is not None:
        write_sampling(into.sampling, plan.sampling)
    for attack in plan.recorded:
        into.recorded.add(text=attack.text, family=attack.family, parent_attack_id=attack.parent_attack_id)


def read_plan(message: bout_pb2.AttackPlan) -> AttackPlan:
    recorded = tuple(
        RecordedAttack(a.text, a.family, a.parent_attack_id if a.HasField("parent_attack_id") else None)
        for a in message.recorded
    )
    return AttackPlan(
        source=ATTACK_SOURCE.member[message.source],
        num_attacks=message.num_attacks,
        sampling=read_sampling(message.sampling) if message.HasField("sampling") else None,
        recorded=recorded,
    )


def write_bout(into: bout_pb2.Bout, bout: Bout) -> None:
    into.bout_id = bout.bout_id
    into.run_id = bout.run_id
    into.purpose = PURPOSE.number[bout.purpose]
    if bout.learner is not None:
        into.learner = ROLE.number[bout.learner]
    into.round = bout.round
    into.step = bout.step
    into.suite = bout.suite
    write_seed(into.seed, bout.seed)
    write_plan(into.attack_plan, bout.attack_plan)
    into.num_responses = bout.num_responses
    write_sampling(into.response_sampling, bout.response_sampling)
    write_policy_ref(into.attacker, bout.attacker)
    write_policy_ref(into.defender, bout.defender)


def read_bout(message: bout_pb2.Bout) -> Bout:
    return Bout(
        bout_id=message.bout_id,
        run_id=message.run_id,
        purpose=PURPOSE.member[message.purpose],
        learner=ROLE.member[message.learner] if message.HasField("learner") else None,
        round=message.round,
        step=message.step,
        suite=message.suite,
        seed=read_seed(message.seed),
        attack_plan=read_plan(message.attack_plan),
        num_responses=message.num_responses,
        response_sampling=read_sampling(message.response_sampling),
        attacker=read_policy_ref(message.attacker),
        defender=read_policy_ref(message.defender),
    )


def _write_attack(into: attack_pb2.Attack, attack: Attack) -> None:
    into.attack_id = attack.attack_id
    into.text = attack.text
    write_conversation(into.conversation, attack.conversation)
    into.source = ATTACK_SOURCE.number[attack.source]
    into.family = attack.family
    if attack.parent_attack_id is not None:
        into.parent_attack_id = attack.parent_attack_id
    if attack.completion is not None:
        write_completion(into.completion, attack.completion)


def _read_attack(message: attack_pb2.Attack) -> Attack:
    return Attack(
        attack_id=message.attack_id,
        text=message.text,
        conversation=read_conversation(message.conversation),
        source=ATTACK_SOURCE.member[message.source],
        family=message.family,
        parent_attack_id=message.parent_attack_id if message.HasField("parent_attack_id") else None,
        completion=read_completion(message.completion) if message.HasField("completion") else None,
    )


def write_attacked(into: attack_pb2.AttackedBout, attacked: AttackedBout) -> None:
    write_bout(into.bout, attacked.bout)
    for attack in attacked.attacks:
        _write_attack(into.attacks.add(), attack)
    if attacked.effort is not None:
        write_effort(into.effort, attacked.effort)


def read_attacked(message: attack_pb2.AttackedBout) -> AttackedBout:
    return AttackedBout(
        bout=read_bout(message.bout),
        attacks=tuple(_read_attack(attack) for attack in message.attacks),
        effort=read_effort(message.effort) if message.HasField("effort") else None,
    )


def write_sampled(into: response_pb2.SampledBout, sampled: SampledBout) -> None:
    check_responses(sampled)
    write_attacked(into.attacked, sampled.attacked)
    add = into.responses.add
    for response in sampled.responses:
        out = add(response_id=response.response_id, attack_id=response.attack_id)
        write_completion(out.completion, response.completion)
    write_effort(into.effort, sampled.effort)


def read_sampled(message: response_pb2.SampledBout) -> SampledBout:
    sampled = SampledBout(
        attacked=read_attacked(message.attacked),
        responses=tuple(Response(r.response_id, r.attack_id, read_completion(r.completion)) for r in message.responses),
        effort=read_effort(message.effort),
    )
    check_responses(sampled)
    return sampled


def check_responses(sampled: SampledBout) -> None:
    """ValueError unless the responses are those of the attacks, attack by attack: readers pair them by place."""
    expected = [attack.attack_id for attack in sampled.attacked.attacks for _ in range(sampled.bout.num_responses)]
    if [response.attack_id for response in sampled.responses] != expected:
        raise ValueError(
            f"responses: {len(sampled.responses)} of them are not {sampled.bout.num_responses} to each of the "
            f"{len(sampled.attacked.attacks)} attacks of bout {sampled.bout.bout_id}, in the order of the attacks"
        )


# A panel gives the same few answers again and again: each is written and read once and remembered. Frozen, so one object
# may stand for all that are equal.
_DISTINCT_BALLOTS = 4096


def _write_ballots(into: Any, ballots: Iterable[Ballot]) -> None:
    for ballot in ballots:
        into.add().MergeFromString(_ballot_bytes(ballot))


@lru_cache(maxsize=_DISTINCT_BALLOTS)
def _ballot_bytes(ballot: Ballot) -> bytes:
    return verdict_pb2.Ballot(
        member=ballot.member,
        version=ballot.version,
        prompt_harmful=LABEL.optional_number(ballot.prompt_harmful),
        on_goal=LABEL.optional_number(ballot.on_goal),
        loosely_on_goal=LABEL.optional_number(ballot.loosely_on_goal),
        response_harmful=LABEL.optional_number(ballot.response_harmful),
        refusal=REFUSAL.optional_number(ballot.refusal),
        correct=LABEL.optional_number(ballot.correct),
        family=ballot.family,
    ).SerializeToString()


# An absent label reads as 0, which the enum tables do not hold.
_label = LABEL.member.get
_refusal = REFUSAL.member.get


@lru_cache(maxsize=_DISTINCT_BALLOTS)
def _ballot_of(data: bytes) -> Ballot:
    message = verdict_pb2.Ballot.FromString(data)
    return Ballot(
        member=message.member,
        version=message.version,
        prompt_harmful=_label(message.prompt_harmful),
        on_goal=_label(message.on_goal),
        loosely_on_goal=_label(message.loosely_on_goal),
        response_harmful=_label(message.response_harmful),
        refusal=_refusal(message.refusal),
        correct=_label(message.correct),
        family=message.family if message.HasField("family") else None,
    )


def write_judged(into: verdict_pb2.JudgedBout, judged: JudgedBout) -> None:
    check_verdicts(judged)
    write_sampled(into.sampled, judged.sampled)
    for verdict in judged.attack_verdicts:
        out = into.attack_verdicts.add(
            attack_id=verdict.attack_id,
            prompt_harmful=LABEL.number[verdict.prompt_harmful],
            on_goal=LABEL.number[verdict.on_goal],
            loosely_on_goal=LABEL.number[verdict.loosely_on_goal],
            family=verdict.family,
        )
        _write_ballots(out.ballots, verdict.ballots)
    for answer in judged.response_verdicts:
        decided = into.response_verdicts.add(
            response_id=answer.response_id,
            response_harmful=LABEL.number[answer.response_harmful],
            refusal=REFUSAL.number[answer.refusal],
            correct=LABEL.number[answer.correct],
        )
        _write_ballots(decided.ballots, answer.ballots)


def read_judged(message: verdict_pb2.JudgedBout) -> JudgedBout:
    judged = JudgedBout(
        sampled=read_sampled(message.sampled),
        attack_verdicts=tuple(_read_attack_verdict(verdict) for verdict in message.attack_verdicts),
        response_verdicts=tuple(_read_response_verdict(verdict) for verdict in message.response_verdicts),
    )
    check_verdicts(judged)
    return judged


def _read_attack_verdict(message: verdict_pb2.AttackVerdict) -> AttackVerdict:
    return AttackVerdict(
        attack_id=message.attack_id,
        prompt_harmful=LABEL.member[message.prompt_harmful],
        on_goal=LABEL.member[message.on_goal],
        loosely_on_goal=LABEL.member[message.loosely_on_goal],
        family=message.family,
        ballots=tuple([_ballot_of(ballot.SerializeToString()) for ballot in message.ballots]),
    )


def _read_response_verdict(message: verdict_pb2.ResponseVerdict) -> ResponseVerdict:
    return ResponseVerdict(
        response_id=message.response_id,
        response_harmful=LABEL.member[message.response_harmful],
        refusal=REFUSAL.member[message.refusal],
        correct=LABEL.member[message.correct],
        ballots=tuple([_ballot_of(ballot.SerializeToString()) for ballot in message.ballots]),
    )


def check_verdicts(judged: JudgedBout) -> None:
    """ValueError unless every attack and response has its verdict, in its place: readers pair them by place."""
    if [v.attack_id for v in judged.attack_verdicts] != [a.attack_id for a in judged.sampled.attacked.attacks]:
        raise ValueError(f"attack_verdicts: not one for each attack of bout {judged.bout.bout_id}, in the order of the attacks")
    if [v.response_id for v in judged.response_verdicts] != [r.response_id for r in judged.sampled.responses]:
        raise ValueError(f"response_verdicts: not one for each response of bout {judged.bout.bout_id}, in their order")
