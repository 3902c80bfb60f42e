"""Keeps today's bytes of every example that has none yet. What is kept already is never written again.

python tests/contract/events/keep_golden.py
"""

import json
from pathlib import Path

from harden import codec
from harden.codec.facts import BY_FACT
from tests.support.facts import an_event, every_fact
from tests.support.wire import arrived, sent, topic_of

GOLDEN = Path(__file__).parent / "golden"


def main() -> None:
    for name, fact in every_fact():
        path = GOLDEN / f"{name}.bin"
        if path.exists():
            continue
        message = sent(an_event(fact, name))
        event = codec.from_message(topic_of(fact), arrived(message))
        path.write_bytes(message.value)
        meaning = {"topic": message.topic, **codec.to_json(event, reveal=True)}
        path.with_suffix(".json").write_text(json.dumps(meaning, indent=1, ensure_ascii=False) + "\n")
        print(f"kept {path.name}, a {BY_FACT[type(fact)].event} of {len(message.value)} bytes")


if __name__ == "__main__":
    main()
