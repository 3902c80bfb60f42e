"""How often a judge of refusals says what people said: confusion tables and the rates that follow from them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harden.domain import ids
from harden.domain.attack import Attack
from harden.domain.bout import Strategy
from harden.domain.completion import Completion, FinishReason
from harden.domain.conversation import Conversation
from harden.domain.errors import SetupError
from harden.domain.judging import PanelMember, ResponseCase
from harden.domain.response import Response
from harden.domain.seed import Seed, SeedLabel
from harden.domain.verdict import REFUSAL, UNSCOREABLE, Refusal
from harden.judge.labelled import LabelledAnswer, LabelledAnswers
from harden.statistics import wilson

# Said by people, said by the judge -> how often.
Confusion = Mapping[tuple[str, str], int]


def measure(judge: PanelMember, answers: LabelledAnswers) -> dict[str, Any]:
    """Facts for every set and split, as JSON holds them. No text of any row is among them."""
    said = _labels(judge, answers.rows)
    tables: dict[tuple[str, str], Counter[tuple[str, str]]] = {}
    for row, label in zip(answers.rows, said, strict=True):
        tables.setdefault((row.of, row.split), Counter())[row.label.value, label] += 1
    return {
        "judge": judge.name,
        "version": judge.version,
        "source": answers.source,
        "licence": answers.licence,
        "tables": [{"set": of, "split": split, **facts(table)} for (of, split), table in sorted(tables.items())],
    }


def facts(table: Confusion) -> dict[str, Any]:
    """Counts, and each rate as [k, n, rate, low, high] with Wilson's 95% interval.

    `refused`: whether it refuses at all, full and partial taken together. `class`: the same of the three classes, where
    "partial" agrees with people's "partial" and with nothing else. `precision` and `recall` are those of refusing at all.
    """
    n = sum(table.values())
    hits = sum(count for (people, judge), count in table.items() if _refuses(people) and _refuses(judge))
    found = sum(count for (_, judge), count in table.items() if _refuses(judge))
    there = sum(count for (people, _), count in table.items() if _refuses(people))
    return {
        "n": n,
        "counts": {f"{people}/{judge}": count for (people, judge), count in sorted(table.items())},
        "refused": _rate(sum(c for (p, j), c in table.items() if j != UNSCOREABLE and _refuses(p) == _refuses(j)), n),
        "class": _rate(sum(c for (p, j), c in table.items() if p == j), n),
        "precision": _rate(hits, found),
        "recall": _rate(hits, there),
    }


def _refuses(label: str) -> bool:
    return label in (Refusal.FULL, Refusal.PARTIAL)


def _rate(k: int, n: int) -> list[float]:
    rate = wilson(k, n)
    return [k, n, *(round(value, 4) for value in (rate.rate, rate.low, rate.high))]


def _labels(judge: PanelMember, rows: Sequence[LabelledAnswer]) -> list[str]:
    """The judge's answer to each row; without one it is unscoreable, which agrees with nobody."""
    if REFUSAL not in judge.response_questions:
        raise SetupError(
            f"the judge {judge.name!r} is not asked about refusals; it answers {', '.join(judge.response_questions)}"
        )
    ballots = judge.ballots([_case(i, row) for i, row in enumerate(rows)])
    return [next((a.label or UNSCOREABLE for a in b.answers if a.question == REFUSAL), UNSCOREABLE) for b in ballots]


def _case(i: int, row: LabelledAnswer) -> ResponseCase:
    """The request as it is, sent straight, with the answer to it."""
    conversation = Conversation.of_user(row.request)
    seed_id = ids.root("labelled", i)
    attack = Attack(ids.child(seed_id, "attack", 0), row.request, conversation, Strategy.DIRECT)
    completion = Completion(row.answer, (), (), FinishReason.STOP, "", 0)
    seed = Seed(seed_id, SeedLabel.HARMFUL, "labelled", conversation, source="labelled")
    return ResponseCase(seed, attack, Response(ids.child(attack.attack_id, "response", 0), attack.attack_id, completion))
