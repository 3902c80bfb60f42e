"""The replay pool: every successful attack, to be played again so that the defender does not forget it."""

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from harden.domain.bout import RecordedAttack
from harden.domain.conversation import BlobRef, Conversation, Image, Message, Part, Speaker, Text
from harden.domain.seed import Seed, SeedLabel
from harden.trainer.core.plan import Replayed


class ReplayPool:
    """Attacks by family. An attack is known by its seed and its text, white space and case aside; the first of equals stays.

    What `is_reserved` for measuring never enters.
    """

    def __init__(self, max_per_family: int = 2000, *, is_reserved: Callable[[str], bool] = lambda _: False) -> None:
        self._max_per_family = max_per_family
        self._is_reserved = is_reserved
        self._seeds: dict[str, Seed] = {}
        self._families: dict[str, dict[tuple[str, str], Replayed]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._families.values()))

    def add(self, successes: Iterable[tuple[Seed, RecordedAttack]]) -> int:
        """Takes in those that are new and returns their number. Of a full family the oldest leave."""
        num_new = 0
        for seed, attack in successes:
            family = self._families.setdefault(attack.family, {})
            key = (seed.seed_id, _normal(attack.text))
            if key in family or self._is_reserved(attack.text):
                continue
            family[key] = Replayed(self._seeds.setdefault(seed.seed_id, seed), attack)
            num_new += 1
            if len(family) > self._max_per_family:
                del family[next(iter(family))]
        return num_new

    def sample(self, count: int, random_seed: int) -> list[Replayed]:
        """`count` attacks, or all there are, spread as evenly over the families as these allow, shuffled. None twice.

        Depends on the pool's content, not on the order it came in.
        """
        rng = random.Random(random_seed)
        shuffled: list[list[Replayed]] = []
        for name in sorted(self._families):
            family = [self._families[name][key] for key in sorted(self._families[name])]
            rng.shuffle(family)
            shuffled.append(family)
        drawn: list[Replayed] = []
        while len(drawn) < count and any(shuffled):
            # One of each family a turn; in the last turn chance says which families.
            turn = [family for family in shuffled if family]
            rng.shuffle(turn)
            drawn.extend(family.pop() for family in turn[: count - len(drawn)])
        rng.shuffle(drawn)
        return drawn

    def families(self) -> dict[str, int]:
        """How many attacks each family has."""
        return {name: len(family) for name, family in sorted(self._families.items()) if family}

    def to_json(self) -> dict[str, Any]:
        """Oldest first in each family, each seed once."""
        attacks = [replayed for family in self._families.values() for replayed in family.values()]
        used = {replayed.seed.seed_id for replayed in attacks}
        return {
            "seeds": {seed_id: _seed_to_json(seed) for seed_id, seed in self._seeds.items() if seed_id in used},
            "attacks": [[r.seed.seed_id, r.attack.text, r.attack.family, r.attack.parent_attack_id] for r in attacks],
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Restores the output of `to_json`."""
        self._families = {}
        self._seeds = {seed_id: _seed_from_json(seed_id, seed) for seed_id, seed in data["seeds"].items()}
        self.add((self._seeds[seed_id], RecordedAttack(*attack)) for seed_id, *attack in data["attacks"])


def _normal(text: str) -> str:
    return " ".join(text.lower().split())


def _seed_to_json(seed: Seed) -> dict[str, Any]:
    messages = [[m.speaker.value, [_part_to_json(part) for part in m.parts]] for m in seed.conversation.messages]
    return {
        "label": seed.label.value,
        "category": seed.category,
        "messages": messages,
        "answer_key": seed.answer_key,
        "source": seed.source,
    }


def _seed_from_json(seed_id: str, data: Mapping[str, Any]) -> Seed:
    messages = tuple(Message(Speaker(s), tuple(_part_from_json(part) for part in parts)) for s, parts in data["messages"])
    return Seed(seed_id, SeedLabel(data["label"]), data["category"], Conversation(messages), data["answer_key"], data["source"])


def _part_to_json(part: Part) -> str | list[Any]:
    if isinstance(part, Text):
        return part.text
    return [part.blob.uri, part.blob.sha256, part.blob.num_bytes, part.media_type]


def _part_from_json(data: Any) -> Part:
    if isinstance(data, str):
        return Text(data)
    uri, sha256, num_bytes, media_type = data
    return Image(BlobRef(uri, sha256, num_bytes), media_type)
