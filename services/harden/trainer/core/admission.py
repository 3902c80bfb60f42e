"""Which samples may be trained on: drawn by a known, recent policy, in a bout scheduled for training. Rewards play no part."""

from collections.abc import Callable
from dataclasses import dataclass

from harden.domain.bout import Purpose, Role
from harden.domain.completion import Completion, FinishReason
from harden.domain.verdict import JudgedBout

STALE = "stale"
UNKNOWN_POLICY = "unknown_policy"
NOT_FOR_TRAINING = "not_for_training"
NOT_SAMPLED = "not_sampled"  # no policy sampled it, so it has no log-probs
TRUNCATED = "truncated"
RESERVED = "reserved"  # the attack asks what the suites measure
ADMITTED = "admitted"

# Digest of a policy -> updates made since it was published; None for one that this run never published.
LagOf = Callable[[str], int | None]


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    """`drop_truncated`: leaves out answers that ran into the token limit."""

    max_version_lag: int = 8
    drop_truncated: bool = False


def is_for_training(judged: JudgedBout, role: Role) -> bool:
    """Whether the bout was scheduled for this player to learn from."""
    return judged.bout.purpose is Purpose.TRAIN and role in judged.bout.learners


def is_fresh(completion: Completion, lag_of: LagOf, rules: AdmissionRules) -> tuple[bool, str]:
    """Whether the policy that wrote it is known and at most `max_version_lag` updates behind."""
    lag = lag_of(completion.policy_digest)
    if lag is None:
        return False, UNKNOWN_POLICY
    return (True, ADMITTED) if lag <= rules.max_version_lag else (False, STALE)


def admits(completion: Completion | None, lag_of: LagOf, rules: AdmissionRules) -> tuple[bool, str]:
    """Whether a sample may be trained on, independent of its verdict."""
    if completion is None or not completion.token_ids:
        return False, NOT_SAMPLED
    if rules.drop_truncated and completion.finish_reason is FinishReason.LENGTH:
        return False, TRUNCATED
    return is_fresh(completion, lag_of, rules)
