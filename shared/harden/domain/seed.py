"""Seeds: the plain requests a game starts from."""

from dataclasses import dataclass
from enum import StrEnum

from harden.domain.conversation import Conversation


class SeedLabel(StrEnum):
    HARMFUL = "harmful"
    BENIGN = "benign"


@dataclass(frozen=True, slots=True)
class Seed:
    """A plain request the game starts from. `category` is one of the world's (game.Category)."""

    seed_id: str
    label: SeedLabel
    category: str
    conversation: Conversation
    # Exact answer expected of a defender that helps; None where any helpful answer will do.
    answer_key: str | None = None
    source: str = ""

    @property
    def text(self) -> str:
        return self.conversation.last_text
