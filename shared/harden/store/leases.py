"""Which replica serves which policy, by the leases on `served`; for the trainer and the command line."""

import time
from collections.abc import Callable

from harden.domain.policy import PolicyRef, PolicyServed

# How far a replica's clock may be behind its reader's before a replica that is alive stops counting. A replica that is gone
# counts for that much longer.
CLOCK_ALLOWANCE_S = 5.0


class Leases:
    """The newest lease of every replica, as far as the log was read. A lease counts until it ends by the reader's clock."""

    def __init__(self, now: Callable[[], float] = time.time, *, allowance_s: float = CLOCK_ALLOWANCE_S) -> None:
        self._now = now
        self._allowance_s = allowance_s
        self._newest: dict[str, dict[str, PolicyServed]] = {}  # by slot and replica

    def record(self, lease: PolicyServed) -> bool:
        """Records a lease. False for a renewal, where an earlier lease of the replica named the same policy."""
        replicas = self._newest.setdefault(lease.policy.slot, {})
        before = replicas.get(lease.replica)
        replicas[lease.replica] = lease
        return before is None or before.policy != lease.policy

    def live(self, slot: str) -> list[PolicyServed]:
        """One of each replica that still counts, in the order of their names."""
        leases = self._newest.get(slot, {})
        return [leases[name] for name in sorted(leases) if self._now() <= leases[name].lease_until + self._allowance_s]

    def serving(self, policy: PolicyRef) -> list[PolicyServed]:
        return [lease for lease in self.live(policy.slot) if lease.policy == policy]

    def is_served(self, policy: PolicyRef, num_replicas: int) -> bool:
        """Whether at least `num_replicas` replicas are alive and all that are alive answer with `policy`."""
        live = self.live(policy.slot)
        return len(live) >= num_replicas and all(lease.policy == policy for lease in live)
