"""Anchors: supervised examples that preserve behaviour on benign requests during a game."""

import random

from pydantic import Field, model_validator

from harden.config import Section
from harden.domain import ids
from harden.domain.bout import RecordedAttack
from harden.domain.conversation import Conversation, Image, Message, Part, Speaker, Text
from harden.domain.markup import Drawn, pieces
from harden.domain.seed import Seed
from harden.serving.ports import Prompt
from harden.trainer.algorithms.ports import Equipment, StepContext
from harden.trainer.core import plan
from harden.trainer.objectives.ports import Sample, SampleGroup, Term
from harden.trainer.objectives.supervised import Supervised

MAX_IMAGES = 4


class AnchorShare(Section):
    """Examples made from seeds of one category: the request in a disguise, and the answer the world gives, or a refusal."""

    category: str = Field(min_length=1)
    """Category of the seeds."""
    share: float = Field(gt=0)
    """Share of the examples, relative to the other shares."""


class AnchorSettings(Section):
    """One supervised batch beside each step."""

    examples: int = Field(default=0, ge=0)
    """Examples in each step; 0 has no anchor."""
    weight: float = Field(default=0.3, gt=0)
    """Weight of their mean cross-entropy beside the objective."""
    mix: tuple[AnchorShare, ...] = ()
    """What the examples are made from."""

    @model_validator(mode="after")
    def _has_a_mix(self) -> "AnchorSettings":
        if self.examples and not self.mix:
            raise ValueError("an anchor with examples needs a mix; give `mix` or set `examples` to 0")
        return self


class Anchors:
    def __init__(self, settings: AnchorSettings, equipment: Equipment) -> None:
        self._settings = settings
        self._equipment = equipment

    def terms(self, context: StepContext) -> list[Term]:
        """The supervised batch of one step, the same each time it is asked for; no term where there are no examples."""
        settings = self._settings
        if not settings.examples:
            return []
        batch_id = ids.child(ids.root(context.run_id, context.round, self._equipment.role, context.step), "anchor", 0)
        seeds = self._draw(context, random.Random(ids.random_seed(batch_id)))
        groups = [self._group(seed, ids.random_seed(ids.child(batch_id, "example", i))) for i, seed in enumerate(seeds)]
        return [Term(Supervised(), groups, settings.weight, name="anchor")]

    def _draw(self, context: StepContext, rng: random.Random) -> list[Seed]:
        counts = plan.apportion(self._settings.examples, [share.share for share in self._settings.mix])
        return [
            seed
            for count, share in zip(counts, self._settings.mix, strict=True)
            for seed in plan.draw(context.seeds, share.category, count, rng)
        ]

    def _group(self, seed: Seed, random_seed: int) -> SampleGroup:
        attack, answer = self._equipment.anchors.example(seed, random_seed)
        return SampleGroup(self._prompt(attack, random_seed), (Sample(text=answer, origin=seed.category),))

    def _prompt(self, attack: RecordedAttack, random_seed: int) -> Prompt:
        """The attack as the defender would see it."""
        parts: list[Part] = []
        images: list[bytes] = []
        for piece in pieces(attack.text, MAX_IMAGES):
            if isinstance(piece, Drawn):
                images.append(self._equipment.images.render(piece.text, random_seed))
                parts.append(Image(self._equipment.store.put(images[-1])))
            else:
                parts.append(Text(piece))
        return Prompt(Conversation((Message(Speaker.USER, tuple(parts)),)), tuple(images))
