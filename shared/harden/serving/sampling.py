"""Drawing tokens so that a request gets the same ones whatever else is computed beside it.

The uniform number behind token t of sample n is a pure function of (request seed, n, t): Philox4x32-10, a counter-based
generator (Salmon et al. 2011), keyed by the request seed. Tokens follow by inverse CDF.

    R rows (one per sample), T tokens, V vocabulary
"""

import numpy as np
import torch
from numpy.typing import NDArray

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
_LOW = np.uint64(0xFFFF_FFFF)
_SHIFT = np.uint64(32)
NUM_ROUNDS = 10
# Separates these draws from any other use of the same seed.
STREAM = 0x68_61_72_64

Words = NDArray[np.uint64]


def philox4x32(counter: tuple[Words, Words, Words, Words], key: tuple[Words, Words]) -> tuple[Words, Words, Words, Words]:
    """Four random 32-bit words for each counter, element by element; words are held in uint64."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(NUM_ROUNDS):
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (product1 >> _SHIFT) ^ c1 ^ k0,
            product1 & _LOW,
            (product0 >> _SHIFT) ^ c3 ^ k1,
            product0 & _LOW,
        )
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return c0, c1, c2, c3


def uniforms(random_seeds_R: NDArray[np.uint64], samples_R: NDArray[np.uint64], start: int, count: int) -> NDArray[np.float64]:
    """[R][count] numbers in [0, 1) for tokens `start` to `start + count`; 32 random bits each."""
    counts_T = np.arange(start, start + count, dtype=np.uint64)[None, :]
    seeds = random_seeds_R.astype(np.uint64)[:, None]
    zeros = np.zeros((len(seeds), count), dtype=np.uint64)
    counter = (counts_T + zeros, samples_R.astype(np.uint64)[:, None] + zeros, zeros, zeros + np.uint64(STREAM))
    words = philox4x32(counter, (seeds & _LOW, seeds >> _SHIFT))
    return words[0] / 2.0**32


def ban(token_ids: list[int], vocab_size: int, device: torch.device) -> torch.Tensor | None:
    """What is added to logits so that these tokens have no probability; None where nothing is banned."""
    if not token_ids:
        return None
    penalty_V = torch.zeros(vocab_size, device=device, dtype=torch.float32)
    penalty_V[torch.tensor(token_ids, device=device)] = float("-inf")
    return penalty_V


def log_distribution(
    logits_RV: torch.Tensor, temperature_R1: torch.Tensor | None, penalty_V: torch.Tensor | None
) -> torch.Tensor:
    """Log-probs of the distribution that is drawn from, float32. No temperature means 1."""
    logits_RV = logits_RV.float()
    if temperature_R1 is not None:
        logits_RV = logits_RV / temperature_R1
    if penalty_V is not None:
        logits_RV = logits_RV + penalty_V
    return torch.log_softmax(logits_RV, dim=-1)


def draw(log_probs_RV: torch.Tensor, uniform_R: torch.Tensor, greedy_R: torch.Tensor | None) -> torch.Tensor:
    """One token per row by inverse CDF; the most likely one where `greedy_R` is set. A banned token is never drawn."""
    # float64: 32-bit uniforms times the total stay strictly below it, so the search never runs past the last token.
    cdf_RV = torch.cumsum(log_probs_RV.exp(), dim=-1, dtype=torch.float64)
    target_R1 = uniform_R[:, None] * cdf_RV[:, -1:]
    tokens_R = torch.searchsorted(cdf_RV, target_R1, right=True)[:, 0]
    if greedy_R is not None:
        tokens_R = torch.where(greedy_R, log_probs_RV.argmax(dim=-1), tokens_R)
    return tokens_R
