"""Bytes that were once written stay readable, and mean what they meant.

`golden/<Event>[.variant].bin` is a message's value as some version wrote it, the `.json` beside it what it meant then.
New examples are kept with keep_golden.py; a file here changes only with the topic's version.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harden import codec, topics
from harden.bus.ports import Incoming
from harden.codec.facts import BY_EVENT

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.bin"))


def still_says(now: Any, then: Any) -> bool:
    """Whether everything said then is said now. Fields that have been added since may say more."""
    if isinstance(then, dict):
        return isinstance(now, dict) and all(key in now and still_says(now[key], then[key]) for key in then)
    if isinstance(then, list):
        return isinstance(now, list) and len(now) == len(then) and all(map(still_says, now, then))
    return bool(now == then)


@pytest.mark.parametrize("name", NAMES)
def test_old_bytes_mean_what_they_meant(name: str) -> None:
    then = json.loads((GOLDEN / f"{name}.json").read_text())
    headers = (("event", then["event"].encode()),)
    message = Incoming(then["topic"], 0, 0, b"", (GOLDEN / f"{name}.bin").read_bytes(), headers, 0)
    event = codec.from_message(topics.by_name(then.pop("topic").removesuffix(".dead")), message)
    assert still_says(codec.to_json(event, reveal=True), then)


def test_bytes_of_every_event_are_kept() -> None:
    assert {name.split(".")[0] for name in NAMES} == {event.rsplit(".")[-1] for event in BY_EVENT}


def test_a_changed_meaning_would_be_noticed() -> None:
    then = {"a": [1, {"b": None}]}
    assert still_says({"a": [1, {"b": None, "new": 2}], "c": 3}, then)
    assert not still_says({"a": [1, {"b": 0}]}, then)
    assert not still_says({"a": [1]}, then)
    assert not still_says({}, then)
