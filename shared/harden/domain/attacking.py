"""The port of an attack strategy: its input, its tools and its result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from harden.domain.bout import Bout, Parameter, RecordedAttack
from harden.domain.completion import Completion
from harden.domain.conversation import Conversation, Message
from harden.domain.verdict import JudgedBout


@dataclass(frozen=True, slots=True)
class Draft:
    """An attack before its images are drawn.

    `text` is the message that this turn adds; `earlier` are the messages of the conversation before it, none where the
    attack starts a fresh one. `prompt` is what the policy was shown where that is not the seed's conversation.
    """

    text: str
    family: str = ""
    parent_attack_id: str | None = None
    completion: Completion | None = None
    prompt: Conversation | None = None
    earlier: tuple[Message, ...] = ()

    @classmethod
    def of_recorded(cls, attack: RecordedAttack) -> "Draft":
        return cls(attack.text, attack.family, attack.parent_attack_id)


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """One turn of a bout that wants its attacks. `parameters` are the bout's over the strategy's defaults."""

    bout: Bout
    previous: JudgedBout | None  # the turn before, with the defender's answers and their verdicts
    parameters: Mapping[str, Parameter]

    @property
    def turn(self) -> int:
        """Index of this turn: 0 in the first."""
        return 0 if self.previous is None else self.previous.turn + 1


class AttackTools(Protocol):
    """What a strategy may use of its surroundings in one turn. Everything random in them derives from the bout and the turn."""

    def ask(self, prompts: Sequence[Conversation], num_samples: int = 1) -> list[list[Completion]]:
        """Completions of the attacker policy, `num_samples` for each prompt, in order.

        Drawn as the plan's `sampling` says: PoisonError("no_sampling") where it has none. TransientError where the
        slot does not answer; the whole turn is then tried again.
        """
        ...

    def transform(self, random_seed: int, max_families: int = 0) -> RecordedAttack:
        """The bout's seed in a known disguise of the world; `max_families` as in Transforms."""
        ...

    def random_seed(self, index: int) -> int:
        """Seed in [0, 2^31) of the attack at this place, the same whenever the turn is done again."""
        ...


class AttackStrategy(Protocol):
    """A way to attack: what an entry point of `harden.strategies` makes when it is called.

    It is used from several threads at once and keeps nothing between calls: what it needs of earlier turns is in `previous`.
    The same turn gives the same drafts again as far as the policy does.
    """

    @property
    def name(self) -> str:
        """As in attack plans and mixtures: the name of the entry point."""
        ...

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Every parameter it understands, with its default. A plan with another name or another type is refused."""
        ...

    def drafts(self, plan: TurnPlan, tools: AttackTools) -> Sequence[Draft]:
        """The attacks of this turn, `num_attacks` of them in the order of the attacks of the turn before.

        It is called once for each turn of the bout. PoisonError where the bout can never be attacked so.
        """
        ...
