"""Estimators of the KL divergence from the policy to its reference, token by token (Schulman, "Approximating KL divergence").

With l = log pi_theta - log pi_ref of a token that pi_theta drew:

    k1 = l                   unbiased; its gradient has mean zero
    k2 = l^2 / 2             biased; its gradient is that of the reverse KL
    k3 = exp(-l) - 1 + l     unbiased, never negative; its gradient is that of the forward KL
"""

from typing import Literal

import torch
from torch import Tensor

Estimator = Literal["k1", "k2", "k3"]


def kl_values(policy_N: Tensor, reference_N: Tensor, estimator: Estimator) -> Tensor:
    """k1, k2 or k3 of each token."""
    l_N = policy_N - reference_N
    match estimator:
        case "k1":
            return l_N
        case "k2":
            return l_N.square() / 2
        case "k3":
            return torch.expm1(-l_N) + l_N
    raise ValueError(f"unknown KL estimator {estimator!r}; known: k1, k2, k3")
