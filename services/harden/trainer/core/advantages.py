"""How much better each sample of a group did than its group: what GRPO multiplies the gradient with.

A group is the samples of one prompt, and only those: mixing prompts would reward easy ones.
"""

import math
from collections.abc import Sequence
from typing import Literal

Baseline = Literal["standard", "dr_grpo", "rloo"]

# Keeps groups that differ by rounding only from exploding.
STD_FLOOR = 1e-4


def of_group(rewards: Sequence[float], baseline: Baseline = "standard") -> list[float]:
    """Advantage of each member relative to its group, same order; they sum to zero.

        standard    (r - mean) / (std + STD_FLOOR), std with n - 1 in the denominator
        dr_grpo     r - mean
        rloo        r - mean of the others

    All exactly zero when the rewards are equal: such a group prefers nothing and must not move the policy.
    """
    if not has_variance(rewards):
        return [0.0] * len(rewards)
    mean = math.fsum(rewards) / len(rewards)
    centred = [reward - mean for reward in rewards]
    match baseline:
        case "dr_grpo":
            return centred
        case "rloo":
            return [len(rewards) / (len(rewards) - 1) * c for c in centred]
        case "standard":
            std = math.sqrt(math.fsum(c * c for c in centred) / (len(rewards) - 1))
            return [c / (std + STD_FLOOR) for c in centred]
    raise ValueError(f"unknown baseline {baseline!r}; known: standard, dr_grpo, rloo")


def has_variance(rewards: Sequence[float]) -> bool:
    """Whether the group prefers anything. Compared exactly: rewards come from a table, not from arithmetic."""
    return any(reward != rewards[0] for reward in rewards)


def zero_variance_share(groups: Sequence[Sequence[float]]) -> float:
    """Share of groups that give no gradient; 0 of none. Near 1 on benign prompts it is the mark of a refuse-all defender."""
    return sum(not has_variance(rewards) for rewards in groups) / len(groups) if groups else 0.0
