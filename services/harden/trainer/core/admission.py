"""What may be trained on: which samples of a judged bout, in which groups, and why the others may not.

attacker's group   the attacks of one bout: one seed, A attacks
defender's groups  for each attack of the bout its R responses
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harden.domain.attack import Attack
from harden.domain.bout import Purpose, Role
from harden.domain.completion import Completion, FinishReason
from harden.domain.verdict import JudgedBout
from harden.trainer.core import rewards
from harden.trainer.core.rewards import AttackerRewards, DefenderRewards

STALE = "stale"
UNKNOWN_POLICY = "unknown_policy"
NOT_FOR_TRAINING = "not_for_training"
NOT_SAMPLED = "not_sampled"  # no policy wrote it, so nothing of it can be learned
TRUNCATED = "truncated"
LONELY = "lonely"  # nothing left in its group to compare with
ADMITTED = "admitted"

# Updates made since the policy of a digest was published; None for a policy that this run never published.
LagOf = Callable[[str], int | None]


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    """`drop_truncated`: an answer that ran into the token limit says nothing about where it was going."""

    max_version_lag: int = 8
    drop_truncated: bool = False


@dataclass(frozen=True, slots=True)
class GradedGroup:
    """Samples of one prompt with their rewards. `attack` is what the defender was shown; None in the attacker's group."""

    attack: Attack | None
    completions: tuple[Completion, ...]
    rewards: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Graded:
    """What a bout gives its learner, and how many samples were left out for which reason."""

    groups: tuple[GradedGroup, ...]
    left_out: Counter[str]

    @property
    def reason(self) -> str:
        """Why nothing of the bout is trained on: the most frequent reason, by name among equals. "" where something is."""
        if self.groups:
            return ""
        return min(self.left_out, key=lambda reason: (-self.left_out[reason], reason), default=LONELY)


def is_fresh(completion: Completion, lag_of: LagOf, rules: AdmissionRules) -> tuple[bool, str]:
    """Whether the policy that wrote it is known and at most `max_version_lag` updates behind."""
    lag = lag_of(completion.policy_digest)
    if lag is None:
        return False, UNKNOWN_POLICY
    return (True, ADMITTED) if lag <= rules.max_version_lag else (False, STALE)


def admits(completion: Completion | None, lag_of: LagOf, rules: AdmissionRules) -> tuple[bool, str]:
    """Whether a sample may be trained on, whatever the judge says of it."""
    if completion is None or not completion.token_ids:
        return False, NOT_SAMPLED
    if rules.drop_truncated and completion.finish_reason is FinishReason.LENGTH:
        return False, TRUNCATED
    return is_fresh(completion, lag_of, rules)


def graded(
    judged: JudgedBout,
    lag_of: LagOf,
    rules: AdmissionRules,
    defender: DefenderRewards,
    attacker: AttackerRewards,
) -> Graded:
    """The bout's groups for its learner: fresh, judged, on goal, and at least two in each group."""
    if judged.bout.purpose is not Purpose.TRAIN or judged.bout.learner is None:
        return Graded((), Counter({NOT_FOR_TRAINING: 1}))
    left_out: Counter[str] = Counter()
    if judged.bout.learner is Role.ATTACKER:
        groups = [_attacks(judged, lag_of, rules, attacker, left_out)]
    else:
        groups = _responses(judged, lag_of, rules, defender, left_out)
    kept = tuple(group for group in groups if len(group.completions) >= 2)
    left_out[LONELY] += sum(len(group.completions) for group in groups if len(group.completions) < 2)
    return Graded(kept, +left_out)


def _attacks(
    judged: JudgedBout, lag_of: LagOf, rules: AdmissionRules, table: AttackerRewards, left_out: Counter[str]
) -> GradedGroup:
    scored = []
    for attack, on_attack, answers in judged.exchanges():
        reward = rewards.of_attack(judged.bout.seed, on_attack, [verdict for _, verdict in answers], table)
        scored.append((attack.completion, reward))
    return _group(None, scored, lag_of, rules, left_out)


def _responses(
    judged: JudgedBout, lag_of: LagOf, rules: AdmissionRules, table: DefenderRewards, left_out: Counter[str]
) -> list[GradedGroup]:
    groups = []
    for attack, on_attack, answers in judged.exchanges():
        scored = [
            (response.completion, rewards.of_response(judged.bout.seed, on_attack, verdict, table))
            for response, verdict in answers
        ]
        groups.append(_group(attack, scored, lag_of, rules, left_out))
    return groups


def _group(
    attack: Attack | None,
    scored: Sequence[tuple[Completion | None, rewards.Reward]],
    lag_of: LagOf,
    rules: AdmissionRules,
    left_out: Counter[str],
) -> GradedGroup:
    completions: list[Completion] = []
    values: list[float] = []
    for completion, (reward, reason) in scored:
        keep, why = admits(completion, lag_of, rules)
        if keep and reward is None:
            keep, why = False, reason
        if not keep:
            left_out[why] += 1
            continue
        assert completion is not None
        assert reward is not None
        completions.append(completion)
        values.append(reward)
    return GradedGroup(attack, tuple(completions), tuple(values))
