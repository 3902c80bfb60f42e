"""The kinds of failure. Any other exception is a bug: it is not caught, and the process ends."""


class PoisonError(Exception):
    """This message can never succeed. It goes to the dead letters with `reason` (a metric label) and the offset moves on."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class TransientError(Exception):
    """A failure that may pass: the same call may succeed later. Retried where it failed, with a limit, and counted."""


class FencedError(Exception):
    """Another process has taken this one's place (same exclusive name). This one must end without writing any more."""


class SetupError(Exception):
    """Something a person must put right before this can run: a setting, a port, a missing program. Says what to do."""
