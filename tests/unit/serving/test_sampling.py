import numpy as np
import pytest
import torch

from harden.serving.sampling import ban, draw, log_distribution, philox4x32, uniforms


def words(*values: int) -> tuple[np.ndarray, ...]:
    return tuple(np.array([value], dtype=np.uint64) for value in values)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # the generator's authors' own known answers (Random123, kat_vectors)
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers(counter: tuple[int, ...], key: tuple[int, ...], expected: tuple[int, ...]) -> None:
    found = philox4x32(words(*counter), words(*key))
    assert tuple(int(word[0]) for word in found) == expected


def test_a_uniform_number_depends_on_seed_sample_and_token_only() -> None:
    seeds, samples = np.array([7, 8, 7], dtype=np.uint64), np.array([0, 0, 1], dtype=np.uint64)
    together = uniforms(seeds, samples, 0, 96)
    for row in range(3):
        alone = uniforms(seeds[row : row + 1], samples[row : row + 1], 64, 32)
        assert (together[row, 64:] == alone[0]).all()
    assert len(np.unique(together)) == together.size


def test_uniform_numbers_fill_the_interval_evenly() -> None:
    found = uniforms(np.arange(64, dtype=np.uint64), np.zeros(64, dtype=np.uint64), 0, 1024).reshape(-1)
    counts, _ = np.histogram(found, bins=16, range=(0, 1))
    expected = found.size / 16
    chi_square = ((counts - expected) ** 2 / expected).sum()
    # 15 degrees of freedom: 37.7 is passed by one generator in a thousand, and this one is fixed.
    assert chi_square < 37.7


def test_tokens_come_as_often_as_their_probability_says() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0, -1.0, 0.5]])
    log_probs = log_distribution(logits, torch.tensor([[0.7]]), None).expand(20_000, -1)
    u = torch.from_numpy(uniforms(np.arange(20_000, dtype=np.uint64), np.zeros(20_000, dtype=np.uint64), 0, 1)[:, 0])
    shares = torch.bincount(draw(log_probs, u, None), minlength=5) / 20_000
    assert torch.allclose(shares, log_probs[0].exp(), atol=0.01)


@pytest.mark.parametrize("u", [0.0, 0.5, 1 - 2.0**-32])
def test_a_banned_token_is_never_drawn(u: float) -> None:
    penalty = ban([0, 2, 4], 5, torch.device("cpu"))
    log_probs = log_distribution(torch.tensor([[9.0, 0.0, 9.0, 0.0, 9.0]]), None, penalty)
    assert draw(log_probs, torch.tensor([u], dtype=torch.float64), None).item() in (1, 3)


def test_the_lowest_and_the_highest_number_draw_the_first_and_the_last_token() -> None:
    log_probs = log_distribution(torch.zeros(2, 521), None, None)
    drawn = draw(log_probs, torch.tensor([0.0, 1 - 2.0**-32], dtype=torch.float64), None)
    assert drawn.tolist() == [0, 520]
