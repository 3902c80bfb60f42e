"""harden dead-letters: messages that a reader could not use. Their content is hidden without --reveal."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cyclopts import App, Parameter

from harden import codec
from harden.bus.ports import Incoming, Outgoing
from harden.cli import output
from harden.cli.log_access import OpenLog, Where, open_log, read_all
from harden.domain.errors import PoisonError, SetupError
from harden.domain.events import DeadLetter, Event
from harden.topics import CATALOGUE, Topic

app = App(name="dead-letters", help="Messages that a reader could not use, with the reason.")
_ID = re.compile(r"(?P<noun>[a-z]+)/(?P<partition>\d+)/(?P<offset>\d+)")


@dataclass(frozen=True)
class Found:
    """`letter_id` is its place: noun/partition/offset. `letter` is None for an unreadable dead letter."""

    letter_id: str
    topic: Topic
    event: Event | None
    problem: str = ""

    @property
    def letter(self) -> DeadLetter | None:
        return self.event.fact if self.event and isinstance(self.event.fact, DeadLetter) else None


@app.command(name="list")
def list_letters(
    *,
    topic: Annotated[str | None, Parameter(help="Only of this topic: its noun, such as bouts, or its whole name.")] = None,
    reason: Annotated[str | None, Parameter(help="Only with this reason.")] = None,
    where: Where | None = None,
    json: Annotated[bool, Parameter(help="Answer in JSON.")] = False,
) -> None:
    """Every dead letter: its topic and offset, the reason, and the service that wrote it."""
    nouns = _topics_called(topic)
    with open_log(where) as log:
        found = [one for one in _read(log, nouns) if reason in (None, one.letter.reason if one.letter else "")]
    if json:
        output.as_json([{"id": one.letter_id, **_json(one, reveal=False)} for one in found])
        return
    rows: list[tuple[object, ...]] = []
    for one in found:
        if one.letter is None:
            rows.append((one.letter_id, "unreadable", one.problem, "", "", ""))
        else:
            d = one.letter
            rows.append((one.letter_id, d.reason, d.detail, d.service, len(d.value), output.when(d.died_at)))
    if not rows:
        output.note("no dead letters")
        return
    output.table(("id", "reason", "detail", "service", "bytes", "died"), rows)


@app.command
def show(
    letter_id: Annotated[str, Parameter(help="As `harden dead-letters list` names it, such as bouts/0/12.")],
    *,
    reveal: Annotated[bool, Parameter(help="Show the content as well; it may be an attack.")] = False,
    where: Where | None = None,
    json: Annotated[bool, Parameter(help="Answer in JSON.")] = False,
) -> None:
    """One dead letter."""
    with open_log(where) as log:
        one = _find(log, letter_id)
    content = _json(one, reveal=reveal)
    if json:
        output.as_json(content)
        return
    if one.letter is None:
        print(f"{one.letter_id} cannot be read: {one.problem}")
        return
    d = one.letter
    print(f"{one.letter_id}\n  from     {d.topic}, partition {d.partition}, offset {d.offset}")
    print(f"  died     {output.when(d.died_at)} in {d.service}: {d.reason}\n  because  {output.printable(d.detail)}")
    if reveal:
        print(f"  key      {output.printable((d.key or b'').decode(errors='backslashreplace'))}")
        print(f"  value    {output.printable(d.value.decode(errors='backslashreplace'))}")
    else:
        print(f"  value    {len(d.value)} bytes, hidden; --reveal shows them")


@app.command
def replay(
    letter_ids: Annotated[list[str] | None, Parameter(help="Ids of the dead letters.")] = None,
    /,
    *,
    all_: Annotated[bool, Parameter(name="--all", help="Every dead letter, or every one of --topic.", negative="")] = False,
    topic: Annotated[str | None, Parameter(help="With --all: only of this topic.")] = None,
    dry_run: Annotated[bool, Parameter(help="Only show what would be sent.", negative="")] = False,
    where: Where | None = None,
) -> None:
    """Sends dead letters back to their topic, bytes and key unchanged, each message once. Repeating it is harmless: the ids
    stay the same."""
    if bool(letter_ids) == all_:
        raise SetupError("name the dead letters to send back, or give --all; `harden dead-letters list` shows them")
    with open_log(where) as log:
        if not log.is_live and not dry_run:
            raise SetupError("the run is over, so no service would read the messages; give --kafka or --run of a running ring")
        found = [_find(log, one) for one in letter_ids] if letter_ids else _read(log, _topics_called(topic))
        # A message that was buried several times, by readers that started again, goes back once.
        by_origin = {(one.letter.topic, one.letter.partition, one.letter.offset): one for one in found if one.letter}
        readable = [(one, one.letter) for one in by_origin.values() if one.letter is not None]
        for one, letter in readable:
            print(f"{'would send' if dry_run else 'sending'} {one.letter_id} ({letter.reason}) to {one.topic.name}")
        for one in found:
            if one.letter is None:
                output.note(f"left alone: {one.letter_id} cannot be read ({one.problem})")
        if not dry_run and readable:
            producer = log.bus.producer(client_id="cli")
            try:
                producer.send([Outgoing(one.topic.name, d.key or b"", d.value, d.headers) for one, d in readable])
            finally:
                producer.close()
    output.note(f"{len(readable)} {'would be' if dry_run else 'were'} sent")


def _read(log: OpenLog, topics: Sequence[Topic]) -> list[Found]:
    by_dead_name = {topic.dead: topic for topic in topics}
    return [_found(by_dead_name[message.topic], message) for message in read_all(log, list(by_dead_name))]


def _find(log: OpenLog, letter_id: str) -> Found:
    match = _ID.fullmatch(letter_id)
    if match is None:
        raise SetupError(f"{letter_id!r} names no dead letter; `harden dead-letters list` shows their ids, such as bouts/0/12")
    found = [one for one in _read(log, _topics_called(match["noun"])) if one.letter_id == letter_id]
    if not found:
        raise SetupError(f"there is no dead letter {letter_id}; `harden dead-letters list` shows those there are")
    return found[0]


def _found(topic: Topic, message: Incoming) -> Found:
    letter_id = f"{topic.noun}/{message.partition}/{message.offset}"
    try:
        return Found(letter_id, topic, codec.from_message(topic, message))
    except PoisonError as poison:
        return Found(letter_id, topic, None, str(poison))


def _topics_called(name: str | None) -> tuple[Topic, ...]:
    if name is None:
        return CATALOGUE
    found = tuple(topic for topic in CATALOGUE if name in (topic.noun, topic.name, topic.dead))
    if not found:
        raise SetupError(f"there is no topic {name!r}; there are {', '.join(topic.noun for topic in CATALOGUE)}")
    return found


def _json(one: Found, *, reveal: bool) -> dict[str, object]:
    return codec.to_json(one.event, reveal=reveal) if one.event else {"unreadable": one.problem}
