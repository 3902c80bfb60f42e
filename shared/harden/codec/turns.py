"""The parts of a turn <-> their messages: attacks, responses, and what the judge decided of them.

Responses and decisions are the many of a bout: what is done for each of them decides what a message costs. A panel says
the same few things of most of them, so a turn holds each distinct decision once and a number for each response.
"""

from collections.abc import Sequence

from harden.bout.v1 import turn_pb2
from harden.codec.common import read_completion, read_conversation, write_completion, write_conversation
from harden.domain.attack import Attack
from harden.domain.response import Response, SampledBout
from harden.domain.verdict import Answer, Ballot, JudgedBout, Verdict

_Decision = tuple[tuple[Answer, ...], tuple[Ballot, ...]]


def write_attack(into: turn_pb2.Attack, attack: Attack) -> None:
    into.attack_id = attack.attack_id
    into.text = attack.text
    write_conversation(into.conversation, attack.conversation)
    into.strategy = attack.strategy
    into.family = attack.family
    if attack.parent_attack_id is not None:
        into.parent_attack_id = attack.parent_attack_id
    if attack.completion is not None:
        write_completion(into.completion, attack.completion)
    if attack.prompt is not None:
        write_conversation(into.prompt, attack.prompt)


def read_attack(message: turn_pb2.Attack) -> Attack:
    return Attack(
        attack_id=message.attack_id,
        text=message.text,
        conversation=read_conversation(message.conversation),
        strategy=message.strategy,
        family=message.family,
        parent_attack_id=message.parent_attack_id if message.HasField("parent_attack_id") else None,
        completion=read_completion(message.completion) if message.HasField("completion") else None,
        prompt=read_conversation(message.prompt) if message.HasField("prompt") else None,
    )


def write_response(into: turn_pb2.Response, response: Response) -> None:
    into.response_id = response.response_id
    into.attack_id = response.attack_id
    write_completion(into.completion, response.completion)


def read_response(message: turn_pb2.Response) -> Response:
    return Response(message.response_id, message.attack_id, read_completion(message.completion))


def write_decisions(into: turn_pb2.Turn, judged: JudgedBout) -> None:
    """The verdicts of a turn: each distinct decision once, in the order of first use, and who has which."""
    places: dict[_Decision, int] = {}
    # Verdicts that were read share their parts: the same objects need not be compared again.
    by_identity: dict[tuple[int, int], int] = {}
    for verdicts, numbers in (
        (judged.attack_verdicts, into.attack_decisions),
        (judged.response_verdicts, into.response_decisions),
    ):
        found = []
        for verdict in verdicts:
            identity = (id(verdict.answers), id(verdict.ballots))
            place = by_identity.get(identity)
            if place is None:
                place = by_identity[identity] = places.setdefault((verdict.answers, verdict.ballots), len(places))
            found.append(place)
        numbers.extend(found)
    for answers, ballots in places:
        out = into.decisions.add()
        for answer in answers:
            _write_answer(out.answers.add(), answer)
        for ballot in ballots:
            written = out.ballots.add(member=ballot.member, version=ballot.version)
            for answer in ballot.answers:
                _write_answer(written.answers.add(), answer)


def read_verdicts(message: turn_pb2.Turn, sampled: SampledBout) -> JudgedBout:
    """The turn with its verdicts. ValueError where there is not one for each attack and response."""
    decisions = [_read_decision(decision) for decision in message.decisions]
    return JudgedBout(
        sampled,
        _verdicts("attack", [a.attack_id for a in sampled.attacked.attacks], message.attack_decisions[:], decisions),
        _verdicts("response", [r.response_id for r in sampled.responses], message.response_decisions[:], decisions),
    )


def _verdicts(kind: str, subjects: list[str], places: Sequence[int], decisions: list[_Decision]) -> tuple[Verdict, ...]:
    if len(places) != len(subjects):
        raise ValueError(f"{kind}_decisions: {len(places)} for {len(subjects)} {kind}s")
    if places and max(places) >= len(decisions):
        raise ValueError(f"{kind}_decisions: number {max(places)} of {len(decisions)} decisions")
    return tuple([Verdict(subject, *decisions[place]) for subject, place in zip(subjects, places, strict=True)])


def _write_answer(into: turn_pb2.Answer, answer: Answer) -> None:
    into.question = answer.question
    if answer.label is not None:
        into.label = answer.label
    else:
        assert answer.score is not None  # Answer holds this
        into.score = answer.score
    if answer.why:
        into.why = answer.why


def _read_answer(message: turn_pb2.Answer) -> Answer:
    if message.WhichOneof("value") == "label":
        return Answer(message.question, message.label, None, message.why)
    return Answer(message.question, None, message.score, message.why)


def _read_decision(message: turn_pb2.Decision) -> _Decision:
    return (
        tuple([_read_answer(answer) for answer in message.answers]),
        tuple([Ballot(b.member, b.version, tuple([_read_answer(a) for a in b.answers])) for b in message.ballots]),
    )


def check_responses(sampled: SampledBout) -> None:
    """ValueError unless the responses are those of the attacks, attack by attack: readers pair them by place."""
    expected = [attack.attack_id for attack in sampled.attacked.attacks for _ in range(sampled.bout.num_responses)]
    if [response.attack_id for response in sampled.responses] != expected:
        raise ValueError(
            f"responses: {len(sampled.responses)} of them are not {sampled.bout.num_responses} to each of the "
            f"{len(sampled.attacked.attacks)} attacks of bout {sampled.bout.bout_id}, in the order of the attacks"
        )


def check_verdicts(judged: JudgedBout) -> None:
    """ValueError unless every attack and response has its verdict, in its place: readers pair them by place."""
    if [v.subject_id for v in judged.attack_verdicts] != [a.attack_id for a in judged.sampled.attacked.attacks]:
        raise ValueError(f"attack_verdicts: not one for each attack of bout {judged.bout.bout_id}, in the order of the attacks")
    if [v.subject_id for v in judged.response_verdicts] != [r.response_id for r in judged.sampled.responses]:
        raise ValueError(f"response_verdicts: not one for each response of bout {judged.bout.bout_id}, in their order")
