"""Which offset may be committed while messages finish in any order."""


class OpenOffsets:
    """One partition, from its assignment to its loss. Offsets begin in rising order and finish in any.

    What may be committed never passes an offset that began and has not finished. After the partition is lost, late
    finishers of this object change nothing: a new assignment gets a new one.
    """

    def __init__(self) -> None:
        self._open: dict[int, int] = {}  # offset -> timestamp_ms, in rising order of offsets
        self._next: int | None = None
        self._committed: int | None = None
        self.is_lost = False

    def begin(self, offset: int, timestamp_ms: int) -> None:
        assert self._next is None or offset >= self._next, f"offset {offset} came after {self._next}"
        if self._committed is None:
            self._committed = offset  # where the group stood when it got here
        self._open[offset] = timestamp_ms
        self._next = offset + 1

    def finish(self, offset: int) -> None:
        del self._open[offset]

    def committable(self) -> int | None:
        """The next offset to read, where it is further than what was committed last; None where it has not advanced."""
        reached = next(iter(self._open), self._next)
        return None if reached == self._committed else reached

    def committed(self, offset: int) -> None:
        self._committed = offset

    def oldest_ms(self) -> int | None:
        """When the oldest unfinished message was written."""
        return min(self._open.values(), default=None)
