"""Picks a few exchanges of a run to show: the same questions before any hardening and at the end."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harden import codec
from harden.bus.ports import Bus, Incoming
from harden.cli.reporting.schema import Exchange
from harden.domain.verdict import JudgedBout, Label
from harden.topics import VERDICTS
from harden.trainer.core.plan import BatchKey
from harden.trainer.experiment import Experiment
from harden.worlds import registry

# Questions of each suite of the world, the first of its fixed order; more would not be read.
PER_SUITE = 1
MAX_RECORDS = 2000


@dataclass(frozen=True, slots=True)
class Wanted:
    """A question as the trainer numbers it when it evaluates a round."""

    suite: str
    round: int
    index: int


def pick(bus: Bus, experiment: Experiment) -> list[Exchange]:
    """Suite by suite, each question in the first and in the last round. What is not on the log is left out."""
    suites = [suite.name for suite in registry.load(experiment.world).suites(experiment.evaluation.split, PER_SUITE)]
    rounds = (0, experiment.schedule.rounds)
    wanted = [Wanted(suite, r, i) for suite in suites for i in range(PER_SUITE) for r in rounds]
    by_id: dict[str, Wanted] = {}
    found: dict[Wanted, Exchange] = {}
    for message in _all_verdicts(bus):
        if not by_id:
            by_id = _ids(wanted, _judged(message).bout.run_id)
        one = by_id.get((message.key or b"").decode(errors="replace"))
        if one is not None:
            found[one] = _exchange(_judged(message))
    return [found[one] for one in wanted if one in found]


def _ids(wanted: Iterable[Wanted], run_id: str) -> dict[str, Wanted]:
    """Ids derive from the content of a bout, so the wanted ones are known before decoding."""
    return {BatchKey(run_id, w.round, 0, "evaluate", {}).bout_id(f"{w.suite}/{w.index}"): w for w in wanted}


def _all_verdicts(bus: Bus) -> Iterator[Incoming]:
    reader = bus.log_reader([VERDICTS.name], client_id="cli.examples")
    try:
        while not reader.caught_up():
            yield from reader.poll(0.2, MAX_RECORDS)
    finally:
        reader.close()


def _judged(message: Incoming) -> JudgedBout:
    fact = codec.from_message(VERDICTS, message).fact
    assert isinstance(fact, JudgedBout)  # the catalogue allows no other on this topic
    return fact


def _exchange(judged: JudgedBout) -> Exchange:
    """The first attack of the bout and the first answer to it."""
    attack, verdict, answers = next(iter(judged.exchanges()))
    response, answer = answers[0]
    return Exchange(
        bout_id=judged.bout.bout_id,
        round=judged.bout.round,
        suite=judged.bout.suite,
        family=verdict.family or attack.family,
        seed=judged.bout.seed.text,
        attack=attack.text,
        response=response.completion.text,
        harmful=answer.response_harmful is Label.YES,
        refusal=answer.refusal.value,
    )
