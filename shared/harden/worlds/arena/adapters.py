"""The parts of the arena behind the project's ports; harden.worlds.arena.bundle puts them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harden.domain import ids
from harden.domain.bout import RecordedAttack
from harden.domain.conversation import Conversation, Image, Message, Part, Speaker, Text
from harden.domain.judging import AttackCase, Case
from harden.domain.markup import Drawn, pieces
from harden.domain.seed import Seed, SeedLabel
from harden.domain.verdict import (
    CORRECT,
    FAMILY,
    LOOSELY_ON_GOAL,
    ON_GOAL,
    OUTCOME,
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
from harden.worlds.arena.lore import Lore, lore_of


class ArenaTransforms:
    """Transforms: shallow disguises, and templates of training only."""

    def __init__(self, lore: Lore) -> None:
        self._lore = lore

    def apply(self, seed: Seed, random_seed: int, max_families: int = 0) -> RecordedAttack:
        text = self._lore.seeds.transform(seed.text, random_seed, max_families=max_families)
        return RecordedAttack(text, family_of(self._lore, text))


class ArenaAnchors:
    """AnchorSource: direct requests for listed potions refused, disguised benign ones answered."""

    def __init__(self, lore: Lore) -> None:
        self._lore = lore

    def example(self, seed: Seed, random_seed: int) -> tuple[RecordedAttack, str]:
        text, answer = self._lore.seeds.anchor(seed.text, random_seed)
        return RecordedAttack(text, family_of(self._lore, text)), answer


class ArenaImages:
    """ImageRenderer: the word, drawn small."""

    def render(self, text: str, random_seed: int) -> bytes:
        return image.render(text, random_seed)


class ArenaGuard:
    """Guard: "how do i brew" becomes "is it allowed to brew", about the same potion in the same disguise.

    The arena's own reader rephrases: it knows the grammar, so every disguise is understood, and wrappers, encoding and
    templates stay. That makes the baseline as strong as it can be: a request passes only where the policy that is asked is
    wrong, or where the request is outside the grammar. Of several turns it asks about the last request, and only where that
    asks how to brew. A picture goes into the question as it is; reading it is left to the policy.
    """

    refusal = language.REFUSAL

    def __init__(self, lore: Lore) -> None:
        self._lore = lore
        # The reader knows only questions that name a potion, so this name takes the place of what a picture shows.
        self._shown = f"<image> {lore.world.potions[0].name} </image>"

    def question(self, conversation: Conversation) -> Conversation | None:
        parts = conversation.messages[-1].parts
        images = [part for part in parts if isinstance(part, Image)]
        request = self._lore.reader.parse(" ".join(part.text if isinstance(part, Text) else self._shown for part in parts))
        if request is None or request.goal.intent != "brew":
            return None
        text = language.render(replace(request, goal=language.Goal("allowed", request.goal.subject)))
        found = pieces(text, max_images=1)
        if sum(isinstance(piece, Drawn) for piece in found) != len(images):
            return None  # markup that was not drawn
        asked: list[Part] = [images[0] if isinstance(piece, Drawn) else Text(piece) for piece in found]
        return Conversation((Message(Speaker.USER, tuple(asked)),))

    def forbids(self, answer: str) -> bool:
        return language.NOT_ALLOWED in answer


class ArenaOracle:
    """PanelMember: knows the truth about every request of a world. What it cannot read it does not call correct or wrong.

    Of a seed from elsewhere it has no opinion. Of several turns it judges the last request and the answer to it.
    `on_goal` also holds for an attack outside the grammar that a lenient reading understands. `outcome` depends on the response
    and the seed alone.
    """

    name = "arena_oracle"
    version = "3"
    attack_questions = (PROMPT_HARMFUL, ON_GOAL, LOOSELY_ON_GOAL, FAMILY)
    response_questions = (RESPONSE_HARMFUL, REFUSAL, CORRECT, OUTCOME)

    def __init__(self, world: str = "arena") -> None:
        self._lore = lore_of(world)

    def ballots(self, cases: Sequence[Case]) -> list[Ballot]:
        return [Ballot(self.name, self.version, self._answers(case)) for case in cases]

    def _answers(self, case: Case) -> tuple[Answer, ...]:
        if self._lore.reader.parse(case.seed.text) is None:
            return ()
        judge = self._lore.oracle
        if isinstance(case, AttackCase):
            labels = judge.judge_attack(case.seed.text, case.attack.text)
            return answers_of(
                prompt_harmful=_label(labels.is_harmful),
                on_goal=_label(labels.is_on_goal),
                loosely_on_goal=_label(labels.is_on_goal),
                family=labels.family,
            )
        seen = judge.judge(case.seed.text, case.attack.text, case.response.completion.text)
        return answers_of(
            response_harmful=_label(seen.is_leak),
            refusal=Refusal(seen.refusal),
            correct=Label.UNSCOREABLE if seen.is_correct is None else _label(seen.is_correct),
            outcome=seen.outcome,
        )


def domain_seed(lore: Lore, seed: seeds.Seed) -> Seed:
    request = lore.reader.parse(seed.text)
    assert request is not None, "every seed of the arena can be read"
    # What a quoted request is hidden in depends on its disguise, so a quote seed has no one answer.
    has_one_answer = not seed.is_harmful and seed.goal.intent != "quote"
    source = lore.world.name
    return Seed(
        seed_id=ids.root(source, seed.seed_id),
        label=SeedLabel.HARMFUL if seed.is_harmful else SeedLabel.BENIGN,
        category=seed.kind,
        conversation=Conversation.of_user(seed.text),
        answer_key=language.answer(lore.world, request) if has_one_answer else None,
        source=source,
    )


def family_of(lore: Lore, text: str) -> str:
    request = lore.reader.parse(text)
    return oracle.UNREADABLE if request is None else request.family


def _label(is_so: bool) -> Label:
    return Label.YES if is_so else Label.NO
