"""harden bout: one bout with its attacks, responses and verdicts. Content is hidden without --reveal."""

from collections import Counter
from typing import Annotated

from cyclopts import App, Parameter

from harden import codec
from harden.bus.ports import Incoming
from harden.cli import output
from harden.cli.log_access import OpenLog, Where, open_log, read_all
from harden.domain.attack import AttackedBout
from harden.domain.bout import Bout
from harden.domain.errors import PoisonError, SetupError
from harden.domain.events import DeadLetter, Event
from harden.domain.response import SampledBout
from harden.domain.verdict import ContinuedBout, JudgedBout, Label
from harden.topics import ATTACKS, BOUTS, RESPONSES, VERDICTS, Topic

app = App(name="bout", help="Bouts: a seed, the attacks on it, the answers and their verdicts.")
# Each holds the ones before it whole.
STAGES: tuple[Topic, ...] = (VERDICTS, RESPONSES, ATTACKS, BOUTS)
MIN_PREFIX = 6


@app.command
def show(
    bout_id: Annotated[str, Parameter(help="The bout's id, or its first six or more digits.")],
    *,
    reveal: Annotated[bool, Parameter(help="Show attacks and answers as well.")] = False,
    where: Where | None = None,
    json: Annotated[bool, Parameter(help="Answer in JSON.")] = False,
) -> None:
    """The stages that a bout reached, and its final state."""
    if len(bout_id) < MIN_PREFIX or not all(c in "0123456789abcdef" for c in bout_id):
        raise SetupError(f"{bout_id!r} is no bout id: at least its first {MIN_PREFIX} digits, 0-9 and a-f")
    with open_log(where) as log:
        event, deaths = _newest(log, bout_id), _deaths(log, bout_id)
    if event is None and not deaths:
        raise SetupError(f"no bout begins with {bout_id} in this log; the report and the logs of the services name some")
    if json:
        output.as_json(
            {
                "newest": codec.to_json(event, reveal=reveal) if event else None,
                "dead_letters": [codec.to_json(death, reveal=reveal) for death in deaths],
            }
        )
        return
    if event is not None:
        _print(event, reveal)
    for death in deaths:
        assert isinstance(death.fact, DeadLetter)
        print(f"died in {death.fact.service} ({death.fact.topic}): {death.fact.reason}: {output.printable(death.fact.detail)}")


def _newest(log: OpenLog, prefix: str) -> Event | None:
    """The event of the furthest stage, None where no stage is on the log."""
    newest: list[Event] = []
    ids: set[bytes | None] = set()
    for topic in STAGES:
        messages = read_all(log, [topic.name], lambda message: _is_of(message, prefix))
        ids |= {message.key for message in messages}
        if len(ids) > 1:
            raise SetupError(f"{len(ids)} bouts begin with {prefix}; give more digits")
        newest += [codec.from_message(topic, message) for message in messages[-1:]]
    return max(newest, key=lambda event: how_far(event.fact), default=None)


def how_far(fact: object) -> tuple[int, int]:
    """Of a bout: the turn it is in and its stage in that turn. A turn's later stage is further, a later turn further still."""
    match fact:
        case JudgedBout():
            return fact.turn, 3
        case SampledBout():
            return fact.attacked.turn, 2
        case AttackedBout():
            return fact.turn, 1
        case ContinuedBout():
            return fact.judged.turn + 1, 0
        case _:
            return 0, 0


def _deaths(log: OpenLog, prefix: str) -> list[Event]:
    by_name = {topic.dead: topic for topic in STAGES}
    found = []
    for message in read_all(log, list(by_name), lambda message: _is_of(message, prefix)):
        try:
            found.append(codec.from_message(by_name[message.topic], message))
        except PoisonError as poison:
            output.note(f"a dead letter of it cannot be read: {poison}")
    return found


def _is_of(message: Incoming, prefix: str) -> bool:
    return (message.key or b"").startswith(prefix.encode())


def _print(event: Event, reveal: bool) -> None:
    fact = event.fact
    bout = fact if isinstance(fact, Bout) else _bout_of(fact)
    print(f"bout {bout.bout_id}, run {bout.run_id}")
    who = " and ".join(f"the {role.value}" for role in bout.learners) or "nobody"
    learners = f"{who} learn{'' if len(bout.learners) > 1 else 's'} from it"
    print(f"  round {bout.round}, step {bout.step}, suite {bout.suite}, {bout.purpose.value}; {learners}")
    print(f"  seed {bout.seed.seed_id} ({bout.seed.label.value}, {bout.seed.category})")
    print(f"  attacker v{bout.attacker.version}, defender v{bout.defender.version} ({bout.defender.slot})")
    plan = bout.attack_plan
    if plan.turns > 1:
        print(f"  {plan.strategy}, turn {how_far(fact)[0] + 1} of {plan.turns}")
    match fact:
        case JudgedBout():
            for judged in fact.turns():
                _print_judged(judged, reveal)
        case SampledBout():
            print(f"  {len(fact.attacked.attacks)} attacks and {len(fact.responses)} responses, waiting for the judge")
        case AttackedBout():
            print(f"  {len(fact.attacks)} attacks, waiting for responses")
        case ContinuedBout():
            print(f"  turn {fact.judged.turn + 1} is judged, waiting for the attacks of the next")
        case _:
            print("  scheduled, waiting for its attacks")


def _bout_of(fact: object) -> Bout:
    assert isinstance(fact, ContinuedBout | AttackedBout | SampledBout | JudgedBout)
    return fact.bout


def _print_judged(judged: JudgedBout, reveal: bool) -> None:
    rows = []
    for attack, verdict, answers in judged.exchanges():
        harmful = sum(v.response_harmful is Label.YES for _, v in answers)
        refusals = Counter(v.refusal.value for _, v in answers)
        rows.append(
            (
                attack.attack_id[:10],
                attack.strategy,
                verdict.family or attack.family,
                verdict.prompt_harmful.value,
                verdict.on_goal.value,
                f"{harmful}/{len(answers)}",
                ", ".join(f"{name} {n}" for name, n in sorted(refusals.items())),
            )
        )
    output.table(("attack", "strategy", "family", "prompt harmful", "on goal", "harmful answers", "refusals"), rows)
    if not reveal:
        output.note("attacks and answers are hidden; --reveal shows them")
        return
    for attack, _, answers in judged.exchanges():
        print(f"\n{attack.attack_id}\n  {output.printable(attack.text)}")
        for response, answer in answers:
            mark = "harmful" if answer.response_harmful is Label.YES else "       "
            print(f"    {mark}  {output.printable(response.completion.text)}")
