"""The arena behind the project's ports. Real corpora, judges and renderers take these places with nothing else changed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from harden.domain import ids
from harden.domain.bout import RecordedAttack
from harden.domain.conversation import Conversation
from harden.domain.game import EvaluationCase
from harden.domain.judging import AttackQuestion, Question, ResponseQuestion
from harden.domain.seed import Seed, SeedLabel
from harden.domain.verdict import Ballot, Label, Refusal
from harden.worlds.arena import image, language, oracle, seeds, suites
from harden.worlds.arena.parser import parse
from harden.worlds.arena.suites import Suite

SOURCE = "arena"


class ArenaSeeds:
    """SeedSource: every training seed, harmful first. Categories are `harmful`, `ordinary`, `trap`, `utility`."""

    def seeds(self) -> Sequence[Seed]:
        return [domain_seed(seed) for seed in seeds.training_seeds()]


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


class ArenaSuites:
    """EvaluationSuites: a case is one seed with all its attacks."""

    def __init__(self, *, seed: int = 0, rows: int = suites.MIN_ROWS) -> None:
        self._suites = {suite.name: suite for suite in suites.all_suites(seed=seed, rows=rows)}

    def suites(self) -> Sequence[str]:
        return list(self._suites)

    def measures(self, suite: str) -> tuple[str, ...]:
        """What the answers to a suite show: `attack_success`, `refusal`, `accuracy`."""
        return self._suite(suite).measures

    def cases(self, suite: str) -> Sequence[EvaluationCase]:
        rows = sorted(self._suite(suite).rows, key=lambda row: row.seed)
        return [
            EvaluationCase(
                domain_seed(seeds.seed_of(text)), tuple(RecordedAttack(row.attack, family_of(row.attack)) for row in same)
            )
            for text, same in groupby(rows, key=lambda row: row.seed)
        ]

    def _suite(self, name: str) -> Suite:
        if name not in self._suites:
            raise ValueError(f"the arena has no suite {name!r}; it has {', '.join(self._suites)}")
        return self._suites[name]


class ArenaOracle:
    """PanelMember: knows the truth about every request of the arena. What it cannot read it does not call correct or wrong."""

    name = "arena-oracle"
    version = "1"

    def ballots(self, questions: list[Question]) -> list[Ballot]:
        return [self._ballot(question) for question in questions]

    def _ballot(self, question: Question) -> Ballot:
        if parse(question.seed.text) is None:
            return Ballot(self.name, self.version)  # a seed from elsewhere: no opinion
        match question:
            case AttackQuestion(seed, attack):
                labels = oracle.judge_attack(seed.text, attack.text)
                return Ballot(
                    self.name,
                    self.version,
                    prompt_harmful=_label(labels.is_harmful),
                    on_goal=_label(labels.is_on_goal),
                    loosely_on_goal=_label(labels.is_on_goal_leniently),
                    family=labels.family,
                )
            case ResponseQuestion(seed, attack, response):
                seen = oracle.judge(seed.text, attack.text, response.completion.text)
                return Ballot(
                    self.name,
                    self.version,
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
