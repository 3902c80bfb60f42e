"""One scheduled or continued bout in, the attacks of its next turn out. Knows no broker, no clock, no environment."""

from collections.abc import Callable, Mapping, Sequence

from harden.attacker.tools import TurnTools, attack_id
from harden.domain import ids
from harden.domain.attack import Attack, AttackedBout
from harden.domain.attacking import AttackStrategy, Draft, TurnPlan
from harden.domain.bout import Bout, Parameter
from harden.domain.conversation import Conversation, Image, Message, Part, Speaker, Text
from harden.domain.errors import PoisonError
from harden.domain.game import World
from harden.domain.markup import Drawn, pieces
from harden.domain.verdict import ContinuedBout
from harden.serving.ports import PolicyClient
from harden.store.ports import BlobStore


class Attacker:
    def __init__(
        self,
        policies: PolicyClient,
        world: World,
        strategies: Sequence[AttackStrategy],
        store: BlobStore,
        *,
        max_images: int,
        now: Callable[[], float],
    ) -> None:
        self._policies = policies
        self._world = world
        self._strategies = {strategy.name: strategy for strategy in strategies}
        self._store = store
        self._max_images = max_images
        self._now = now

    def handle(self, fact: Bout | ContinuedBout) -> AttackedBout:
        """The bout with the `num_attacks` attacks of its next turn.

        Raises TransientError where the attacker slot or the store does not answer; PoisonError "unknown_strategy",
        "wrong_parameters", "wrong_number_of_attacks", or the strategy's own.
        """
        bout = fact.bout if isinstance(fact, ContinuedBout) else fact
        previous = fact.judged if isinstance(fact, ContinuedBout) else None
        strategy = self._strategy(bout)
        plan = TurnPlan(bout, previous, _parameters(strategy, bout))
        tools = TurnTools(plan, self._policies, self._world.transforms, self._store, self._now)
        drafts = strategy.drafts(plan, tools)
        if len(drafts) != bout.attack_plan.num_attacks:
            raise PoisonError(
                "wrong_number_of_attacks",
                f"bout {bout.bout_id}: {strategy.name} made {len(drafts)} attacks, {bout.attack_plan.num_attacks} are planned",
            )
        attacks = tuple(self._attack(plan, strategy, i, draft) for i, draft in enumerate(drafts))
        return AttackedBout(bout, attacks, tools.stats, previous)

    def _strategy(self, bout: Bout) -> AttackStrategy:
        strategy = self._strategies.get(bout.attack_plan.strategy)
        if strategy is None:
            raise PoisonError(
                "unknown_strategy",
                f"bout {bout.bout_id} asks for the strategy {bout.attack_plan.strategy!r}; "
                f"installed are {', '.join(sorted(self._strategies))}",
            )
        return strategy

    def _attack(self, plan: TurnPlan, strategy: AttackStrategy, index: int, draft: Draft) -> Attack:
        of = attack_id(plan, index)
        parts = [self._part(piece, of, i) for i, piece in enumerate(pieces(draft.text, self._max_images))]
        return Attack(
            attack_id=of,
            text=draft.text,
            conversation=Conversation((*draft.earlier, Message(Speaker.USER, tuple(parts)))),
            strategy=strategy.name,
            family=draft.family,
            parent_attack_id=draft.parent_attack_id,
            completion=draft.completion,
            prompt=draft.prompt,
        )

    def _part(self, piece: str | Drawn, attack_id: str, index: int) -> Part:
        if isinstance(piece, Drawn):
            png = self._world.images.render(piece.text, ids.random_seed(ids.child(attack_id, "image", index)))
            return Image(self._store.put(png))
        return Text(piece)


def _parameters(strategy: AttackStrategy, bout: Bout) -> Mapping[str, Parameter]:
    """The bout's parameters over the strategy's defaults."""
    given = bout.attack_plan.parameters
    known = strategy.parameters
    # A number is a float after its way over the wire; the type of a default says whether it is one.
    wrong = [name for name, value in given.items() if name not in known or _kind(value) is not _kind(known[name])]
    if wrong:
        raise PoisonError(
            "wrong_parameters",
            f"bout {bout.bout_id}: {strategy.name} does not take {', '.join(sorted(wrong))} as given; it takes "
            f"{', '.join(f'{name} ({_kind(value).__name__})' for name, value in known.items()) or 'none'}",
        )
    return {**known, **given}


def _kind(value: Parameter) -> type:
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)
