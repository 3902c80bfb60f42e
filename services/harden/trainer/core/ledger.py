"""The ledger of training bouts: each ends in exactly one state and is counted once."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class End(StrEnum):
    TRAINED = "trained"
    DROPPED = "dropped"
    DEAD_LETTERED = "dead_lettered"
    EXPIRED = "expired"


@dataclass
class Account:
    """Sums of one round. `scheduled` counts bouts, not deliveries."""

    scheduled: int = 0
    trained: int = 0
    dead_lettered: int = 0
    expired: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, object]:
        return {
            "scheduled": self.scheduled,
            "trained": self.trained,
            "dropped": dict(sorted(self.dropped.items())),
            "dead_lettered": self.dead_lettered,
            "expired": self.expired,
        }


class Ledger:
    """Which bouts are open, which have ended and how. Plain data in, plain data out, so that a checkpoint can hold it."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}  # bout id -> round
        self._ended: dict[str, int] = {}
        self._accounts: dict[int, Account] = {}

    def schedule(self, bout_ids: Iterable[str], round_: int) -> None:
        """Opens the bouts. One that is known already, open or ended, is scheduled again without being counted again."""
        account = self.account(round_)
        for bout_id in bout_ids:
            if bout_id not in self._open and bout_id not in self._ended:
                self._open[bout_id] = round_
                account.scheduled += 1

    def end(self, bout_id: str, how: End, reason: str = "") -> bool:
        """Closes an open bout; False, without effect, where it is not open (redelivered, late, another run's)."""
        round_ = self._open.pop(bout_id, None)
        if round_ is None:
            return False
        self._ended[bout_id] = round_
        account = self.account(round_)
        match how:
            case End.TRAINED:
                account.trained += 1
            case End.DROPPED:
                assert reason, "a dropped bout needs a reason"
                account.dropped[reason] += 1
            case End.DEAD_LETTERED:
                account.dead_lettered += 1
            case End.EXPIRED:
                account.expired += 1
        return True

    def is_open(self, bout_id: str) -> bool:
        return bout_id in self._open

    def num_open(self) -> int:
        return len(self._open)

    def num_expired(self) -> int:
        """Of the whole run."""
        return sum(account.expired for account in self._accounts.values())

    def account(self, round_: int) -> Account:
        return self._accounts.setdefault(round_, Account())

    def forget_before(self, round_: int) -> None:
        """Drops the ids of bouts that ended in earlier rounds, whose messages are behind every saved offset."""
        self._ended = {bout_id: r for bout_id, r in self._ended.items() if r >= round_}

    def to_json(self) -> dict[str, object]:
        return {
            "open": self._open,
            "ended": self._ended,
            "accounts": {str(r): account.to_json() for r, account in self._accounts.items()},
        }

    def restore(self, data: Mapping[str, dict]) -> None:
        """Restores the output of `to_json`."""
        self._open = dict(data["open"])
        self._ended = dict(data["ended"])
        self._accounts = {
            int(round_): Account(**{**sums, "dropped": Counter(sums["dropped"])}) for round_, sums in data["accounts"].items()
        }
