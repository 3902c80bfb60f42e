"""Events as JSON values for people and their scripts. Content stays hidden unless requested."""

import base64
import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Any

from harden.codec.facts import BY_FACT
from harden.domain.attack import Attack
from harden.domain.bout import AttackPlan, RecordedAttack
from harden.domain.completion import Completion
from harden.domain.conversation import Text
from harden.domain.events import DeadLetter, Event
from harden.domain.seed import Seed
from harden.domain.verdict import Answer

# What a person or a policy wrote, in any form from which it can be read back (tokens decode to text).
_CONTENT = frozenset(
    {
        (Text, "text"),
        (Seed, "answer_key"),
        (RecordedAttack, "text"),
        (AttackPlan, "parameters"),
        (Attack, "text"),
        (Completion, "text"),
        (Completion, "hidden"),
        (Completion, "token_ids"),
        (Answer, "why"),  # a judge quotes what it judges
        (DeadLetter, "key"),
        (DeadLetter, "value"),
        (DeadLetter, "headers"),
    }
)


def to_json(event: Event, *, reveal: bool = False) -> dict[str, Any]:
    """`{"event": full name, "meta": ..., "fact": ...}` of JSON values, fields named as in the domain.

    Bytes are base64. Content (text, tokens, dead bytes) is replaced by its length unless `reveal`.
    """
    return {
        "event": BY_FACT[type(event.fact)].event,
        "meta": _value(event.meta, reveal),
        "fact": _value(event.fact, reveal),
    }


def _value(value: Any, reveal: bool) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _field(value, field.name, reveal) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_value(item, reveal) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _value(item, reveal) for key, item in value.items()}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def _field(owner: Any, name: str, reveal: bool) -> Any:
    value = getattr(owner, name)
    if reveal or value is None or (type(owner), name) not in _CONTENT:
        return _value(value, reveal)
    return {"hidden": len(value)}
