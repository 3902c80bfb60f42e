"""What goes wrong in a schedule, as a list: it is printed with the seed, shortened while the failure stays, and kept."""

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum


class Kind(StrEnum):
    KILL = "kill"  # a process, which starts again after `seconds`
    STOP = "stop"  # a process for `seconds`, as by SIGSTOP
    HEIR = "heir"  # a process is stopped for `seconds`, and another is started in its place meanwhile
    DRAIN = "drain"  # a process by SIGTERM; it starts again when it has ended, after `seconds`
    LOSE_ACK = "lose_ack"  # of the next message that is sent: it is written, and its sender hears of a failure
    LOSE_SEND = "lose_send"  # the next message that is sent
    LATE_ACK = "late_ack"  # of the next message that is sent, by `seconds`
    REFUSE_COMMIT = "refuse_commit"  # the next one
    LOSE_COMMIT = "lose_commit"  # the answer to the next one, which counts
    TRANSIENT = "transient"  # the next call of the service's dependency fails
    FOREIGN = "foreign"  # a record that none of ours wrote
    AGAIN = "again"  # a record that is on the topic, a second time
    EXPIRE = "expire"  # the oldest records of a topic, read or not
    COMPACT = "compact"  # a topic of states


@dataclass(frozen=True, slots=True)
class Fault:
    """`which` picks the process, partition or record, modulo how many there are."""

    at: float
    kind: Kind
    which: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Played:
    """`broken`: what was not true of a schedule. Equal digests: everything happened alike."""

    broken: list[str]
    digest: str


def draw(rng: random.Random, kinds: Sequence[Kind], until: float) -> list[Fault]:
    """Of some of the kinds only, each at a rate of its own: all of them at once would hide what two of them do."""
    chosen = [kind for kind in kinds if rng.random() < 0.4]
    faults = []
    for kind in chosen:
        for _ in range(rng.choice((1, 1, 2, 4, 8))):
            seconds = rng.choice((0.0, 0.05, 0.5, 2.0, 12.0, 40.0))
            faults.append(Fault(round(rng.uniform(0, until), 3), kind, rng.randrange(1 << 16), seconds))
    return sorted(faults, key=lambda fault: (fault.at, fault.kind))


def shortened(faults: Sequence[Fault], still_fails: Callable[[Sequence[Fault]], bool]) -> list[Fault]:
    """A shorter list that still fails; leaving out any one of its faults makes it pass (delta debugging, Zeller 2002)."""
    kept, size = list(faults), max(1, len(faults) // 2)
    while kept:
        for begin in range(0, len(kept), size):
            fewer = kept[:begin] + kept[begin + size :]
            if still_fails(fewer):
                kept = fewer
                break
        else:
            if size == 1:
                break
            size //= 2
        size = max(1, min(size, len(kept) // 2 or 1))
    return kept


def to_json(seed: int, faults: Iterable[Fault]) -> str:
    return json.dumps({"seed": seed, "faults": [asdict(fault) for fault in faults]}, indent=1) + "\n"


def from_json(text: str) -> tuple[int, list[Fault]]:
    kept = json.loads(text)
    return kept["seed"], [Fault(**{**fault, "kind": Kind(fault["kind"])}) for fault in kept["faults"]]
