"""One scheduled bout in, its attacks out. Knows no broker, no clock, no environment."""

from collections.abc import Callable
from dataclasses import dataclass

from harden.domain import ids
from harden.domain.attack import Attack, AttackedBout
from harden.domain.bout import Bout, RecordedAttack, Strategy
from harden.domain.completion import Completion, SamplingStats
from harden.domain.conversation import Conversation, Image, Message, Part, Speaker, Text
from harden.domain.errors import PoisonError
from harden.domain.game import ImageRenderer, Transforms
from harden.domain.markup import Drawn, pieces
from harden.serving.asking import ask
from harden.serving.ports import GenerateRequest, PolicyClient, Prompt
from harden.store.ports import BlobStore


@dataclass(frozen=True, slots=True)
class Draft:
    """An attack before it is drawn."""

    text: str
    family: str = ""
    parent_attack_id: str | None = None
    completion: Completion | None = None

    @classmethod
    def of_recorded(cls, attack: RecordedAttack) -> "Draft":
        return cls(attack.text, attack.family, attack.parent_attack_id)


class Attacker:
    def __init__(
        self,
        policies: PolicyClient,
        transforms: Transforms,
        renderer: ImageRenderer,
        store: BlobStore,
        *,
        max_images: int,
        now: Callable[[], float],
    ) -> None:
        self._policies = policies
        self._transforms = transforms
        self._renderer = renderer
        self._store = store
        self._max_images = max_images
        self._now = now

    def handle(self, bout: Bout) -> AttackedBout:
        """The bout with `num_attacks` attacks. Raises TransientError where the attacker slot or the store does not answer."""
        drafts, stats = self._drafts(bout)
        attacks = tuple(self._attack(bout, i, draft) for i, draft in enumerate(drafts))
        return AttackedBout(bout, attacks, stats)

    def _drafts(self, bout: Bout) -> tuple[list[Draft], SamplingStats | None]:
        plan = bout.attack_plan
        match plan.strategy:
            case Strategy.POLICY:
                return self._sampled(bout)
            case Strategy.RECORDED:
                return [Draft.of_recorded(attack) for attack in plan.recorded], None
            case Strategy.TRANSFORM:
                seeds = [ids.random_seed(self._attack_id(bout, i)) for i in range(plan.num_attacks)]
                return [Draft.of_recorded(self._transforms.apply(bout.seed, seed)) for seed in seeds], None
            case Strategy.DIRECT:
                return [Draft(bout.seed.text, family="direct")] * plan.num_attacks, None
            case _:
                raise PoisonError("unknown_strategy", f"the attacker has no strategy {plan.strategy}")

    def _sampled(self, bout: Bout) -> tuple[list[Draft], SamplingStats]:
        plan = bout.attack_plan
        assert plan.sampling is not None  # AttackPlan holds this
        request = GenerateRequest(Prompt(bout.seed.conversation), plan.num_attacks, plan.sampling, bout.random_seed)
        [completions], stats = ask(self._policies, bout.attacker.slot, [request], self._now)
        return [Draft(completion.text, completion=completion) for completion in completions], stats

    def _attack(self, bout: Bout, index: int, draft: Draft) -> Attack:
        attack_id = self._attack_id(bout, index)
        parts = [self._part(piece, attack_id, i) for i, piece in enumerate(pieces(draft.text, self._max_images))]
        return Attack(
            attack_id=attack_id,
            text=draft.text,
            conversation=Conversation((Message(Speaker.USER, tuple(parts)),)),
            strategy=bout.attack_plan.strategy,
            family=draft.family,
            parent_attack_id=draft.parent_attack_id,
            completion=draft.completion,
        )

    def _part(self, piece: str | Drawn, attack_id: str, index: int) -> Part:
        if isinstance(piece, Drawn):
            png = self._renderer.render(piece.text, ids.random_seed(ids.child(attack_id, "image", index)))
            return Image(self._store.put(png))
        return Text(piece)

    @staticmethod
    def _attack_id(bout: Bout, index: int) -> str:
        return ids.child(bout.bout_id, "attack", index)
