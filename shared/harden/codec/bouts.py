"""The bout and its stages <-> their messages. `write_x` and `read_x` as in harden.codec.common; turns are in codec.turns."""

from collections.abc import Iterable

from harden.attack.v1 import attack_pb2
from harden.bout.v1 import bout_pb2, turn_pb2
from harden.codec.common import (
    read_conversation,
    read_sampling,
    read_stats,
    write_conversation,
    write_sampling,
    write_stats,
)
from harden.codec.enums import PURPOSE, ROLE, SEED_LABEL
from harden.codec.policies import read_policy_ref, write_policy_ref
from harden.codec.turns import (
    check_responses,
    check_verdicts,
    read_attack,
    read_response,
    read_verdicts,
    write_attack,
    write_decisions,
    write_response,
)
from harden.domain.attack import AttackedBout
from harden.domain.bout import AttackPlan, Bout, Parameter, RecordedAttack
from harden.domain.response import SampledBout
from harden.domain.seed import Seed
from harden.domain.verdict import ContinuedBout, JudgedBout
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
    into.strategy = plan.strategy
    into.num_attacks = plan.num_attacks
    if plan.sampling is not None:
        write_sampling(into.sampling, plan.sampling)
    for attack in plan.recorded:
        into.recorded.add(text=attack.text, family=attack.family, parent_attack_id=attack.parent_attack_id)
    into.turns = plan.turns
    for name, value in plan.parameters.items():
        _write_parameter(into.parameters[name], value)


def read_plan(message: bout_pb2.AttackPlan) -> AttackPlan:
    recorded = tuple(
        RecordedAttack(a.text, a.family, a.parent_attack_id if a.HasField("parent_attack_id") else None)
        for a in message.recorded
    )
    return AttackPlan(
        strategy=message.strategy,
        num_attacks=message.num_attacks,
        sampling=read_sampling(message.sampling) if message.HasField("sampling") else None,
        recorded=recorded,
        turns=message.turns,
        parameters={name: _read_parameter(value) for name, value in message.parameters.items()},
    )


def _write_parameter(into: bout_pb2.Parameter, value: Parameter) -> None:
    match value:
        case bool():  # first: a bool is a number to Python
            into.flag = value
        case str():
            into.text = value
        case _:
            into.number = value


def _read_parameter(message: bout_pb2.Parameter) -> Parameter:
    match message.WhichOneof("kind"):
        case "flag":
            return message.flag
        case "text":
            return message.text
        case _:
            return message.number


def write_bout(into: bout_pb2.Bout, bout: Bout) -> None:
    into.bout_id = bout.bout_id
    into.run_id = bout.run_id
    into.purpose = PURPOSE.number[bout.purpose]
    into.learners.extend(ROLE.number[role] for role in bout.learners)
    into.round = bout.round
    into.step = bout.step
    into.suite = bout.suite
    write_seed(into.seed, bout.seed)
    write_plan(into.attack_plan, bout.attack_plan)
    into.num_responses = bout.num_responses
    write_sampling(into.response_sampling, bout.response_sampling)
    write_policy_ref(into.attacker, bout.attacker)
    write_policy_ref(into.defender, bout.defender)
    into.panel = bout.panel


def read_bout(message: bout_pb2.Bout) -> Bout:
    return Bout(
        bout_id=message.bout_id,
        run_id=message.run_id,
        purpose=PURPOSE.member[message.purpose],
        learners=tuple(ROLE.member[role] for role in message.learners),
        round=message.round,
        step=message.step,
        suite=message.suite,
        seed=read_seed(message.seed),
        attack_plan=read_plan(message.attack_plan),
        num_responses=message.num_responses,
        response_sampling=read_sampling(message.response_sampling),
        attacker=read_policy_ref(message.attacker),
        defender=read_policy_ref(message.defender),
        panel=message.panel,
    )


def write_attacked(into: attack_pb2.AttackedBout, attacked: AttackedBout) -> None:
    write_bout(into.bout, attacked.bout)
    for attack in attacked.attacks:
        write_attack(into.attacks.add(), attack)
    if attacked.stats is not None:
        write_stats(into.stats, attacked.stats)
    if attacked.previous is not None:
        for judged in attacked.previous.turns():
            _write_turn(into.previous.add(), judged)


def read_attacked(message: attack_pb2.AttackedBout) -> AttackedBout:
    bout = read_bout(message.bout)
    return AttackedBout(
        bout=bout,
        attacks=tuple([read_attack(attack) for attack in message.attacks]),
        stats=read_stats(message.stats) if message.HasField("stats") else None,
        previous=_read_turns(bout, message.previous),
    )


def write_sampled(into: response_pb2.SampledBout, sampled: SampledBout) -> None:
    check_responses(sampled)
    write_attacked(into.attacked, sampled.attacked)
    for response in sampled.responses:
        write_response(into.responses.add(), response)
    if sampled.stats is not None:
        write_stats(into.stats, sampled.stats)


def read_sampled(message: response_pb2.SampledBout) -> SampledBout:
    sampled = SampledBout(
        attacked=read_attacked(message.attacked),
        responses=tuple([read_response(response) for response in message.responses]),
        stats=read_stats(message.stats) if message.HasField("stats") else None,
    )
    check_responses(sampled)
    return sampled


def write_judged(into: verdict_pb2.JudgedBout, judged: JudgedBout) -> None:
    write_bout(into.bout, judged.bout)
    for turn in judged.turns():
        _write_turn(into.turns.add(), turn)


def read_judged(message: verdict_pb2.JudgedBout) -> JudgedBout:
    judged = _read_turns(read_bout(message.bout), message.turns)
    assert judged is not None  # validation asks for one turn at least
    return judged


def write_continued(into: bout_pb2.BoutContinued, continued: ContinuedBout) -> None:
    write_bout(into.bout, continued.bout)
    for turn in continued.judged.turns():
        _write_turn(into.turns.add(), turn)


def read_continued(message: bout_pb2.BoutContinued) -> ContinuedBout:
    judged = _read_turns(read_bout(message.bout), message.turns)
    assert judged is not None  # validation asks for one turn at least
    return ContinuedBout(judged)


def _write_turn(into: turn_pb2.Turn, judged: JudgedBout) -> None:
    sampled = judged.sampled
    check_responses(sampled)
    check_verdicts(judged)
    for attack in sampled.attacked.attacks:
        write_attack(into.attacks.add(), attack)
    if sampled.attacked.stats is not None:
        write_stats(into.attack_stats, sampled.attacked.stats)
    for response in sampled.responses:
        write_response(into.responses.add(), response)
    if sampled.stats is not None:
        write_stats(into.response_stats, sampled.stats)
    write_decisions(into, judged)


def _read_turns(bout: Bout, messages: Iterable[turn_pb2.Turn]) -> JudgedBout | None:
    """The newest turn, which holds those before it; None of none. ValueError where a turn is not one of the bout."""
    judged: JudgedBout | None = None
    for message in messages:
        attacked = AttackedBout(
            bout=bout,
            attacks=tuple([read_attack(attack) for attack in message.attacks]),
            stats=read_stats(message.attack_stats) if message.HasField("attack_stats") else None,
            previous=judged,
        )
        sampled = SampledBout(
            attacked=attacked,
            responses=tuple([read_response(response) for response in message.responses]),
            stats=read_stats(message.response_stats) if message.HasField("response_stats") else None,
        )
        check_responses(sampled)
        judged = read_verdicts(message, sampled)
    return judged
