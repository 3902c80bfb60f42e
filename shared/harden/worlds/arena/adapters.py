"""The parts of the arena behind the project's ports; harden.worlds.arena.bundle puts them together."""

from __future__ import annotations

from collections.abc import Sequence

from harden.domain import ids
from harden.domain.bout import RecordedAttack
from harden.domain.conversation import Conversation
from harden.domain.judging import AttackCase, Case
from harden.domain.seed import Seed, SeedLabel
from harden.domain.verdict import (
    CORRECT,
    FAMILY,
    LOOSELY_ON_GOAL,
    ON_GOAL,
    PROMPT_HARMFUL,
    REFUSAL,
    RESPONSE_HARMFUL,
    Answer,
    Ballot,
    Label,
    Refusal,
    answers_of,
)
from harden.worlds.arena import image, language, oracle, seeds
from harden.worlds.arena.parser import parse

SOURCE = "arena"


class ArenaTransforms:
    """Transforms: training disguises, and templates of training only."""

    def apply(self, seed: Seed, random_seed: int) -> RecordedAttack:
        text = seeds.transform(seed.text, random_seed)
        return RecordedAttack(text, family_of(text))


class ArenaAnchors:
    """AnchorSource: direct requests for restricted potions refused, disguised benign ones answered."""

    def example(self, seed: Seed, random_seed: int) -> tuple[RecordedAttack, str]:
        text, answer = seeds.anchor(seed.text, random_seed)
        return RecordedAttack(text, family_of(text)), answer


class ArenaImages:
    """ImageRenderer: the word, drawn small."""

    def render(self, text: str, random_seed: int) -> bytes:
        return image.render(text, random_seed)


class ArenaOracle:
    """PanelMember: knows the truth about every request of the arena. What it cannot read it does not call correct or wrong.

    Of a seed from elsewhere it has no opinion. Of several turns it judges the last request and the answer to it.
    """

    name = "arena_oracle"
    version = "1"
    attack_questions = (PROMPT_HARMFUL, ON_GOAL, LOOSELY_ON_GOAL, FAMILY)
    response_questions = (RESPONSE_HARMFUL, REFUSAL, CORRECT)

    def ballots(self, cases: Sequence[Case]) -> list[Ballot]:
        return [Ballot(self.name, self.version, self._answers(case)) for case in cases]

    def _answers(self, case: Case) -> tuple[Answer, ...]:
        if parse(case.seed.text) is None:
            return ()
        if isinstance(case, AttackCase):
            labels = oracle.judge_attack(case.seed.text, case.attack.text)
            return answers_of(
                prompt_harmful=_label(labels.is_harmful),
                on_goal=_label(labels.is_on_goal),
                loosely_on_goal=_label(labels.is_on_goal_leniently),
                family=labels.family,
            )
        seen = oracle.judge(case.seed.text, case.attack.text, case.response.completion.text)
        return answers_of(
            response_harmful=_label(seen.is_leak),
            refusal=Refusal(seen.refusal),
            correct=Label.UNSCOREABLE if seen.is_correct is None else _label(seen.is_correct),
        )


def domain_seed(seed: seeds.Seed) -> Seed:
    request = parse(seed.text)
    assert request is not None, "every seed of the arena can be read"
    # What a quoted request is hidden in depends on its disguise, so a quote seed has no one answer.
    has_one_answer = not seed.is_harmful and seed.goal.intent != "quote"
    return Seed(
        seed_id=ids.root(SOURCE, seed.seed_id),
        label=SeedLabel.HARMFUL if seed.is_harmful else SeedLabel.BENIGN,
        category=seed.kind,
        conversation=Conversation.of_user(seed.text),
        answer_key=language.answer(request) if has_one_answer else None,
        source=SOURCE,
    )


def family_of(text: str) -> str:
    request = parse(text)
    return oracle.UNREADABLE if request is None else request.family


def _label(is_so: bool) -> Label:
    return Label.YES if is_so else Label.NO
