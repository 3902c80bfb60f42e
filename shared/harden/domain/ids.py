"""Ids and random seeds. A child's are derived from its parent's, so work done twice yields the same ones."""

import hashlib
import re

# 128 bits: the chance that two of 10^12 ids meet is below 10^-14.
ID_HEX_DIGITS = 32
_ID = re.compile(r"[0-9a-f]{32}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def root(*parts: str | int) -> str:
    """Id of something that has no parent, from what names it (a run's name and seed, a seed's text)."""
    return _hash("root", *parts)


def child(parent: str, kind: str, index: int | str) -> str:
    """Id of the `index`-th `kind` of `parent`; the same every time it is asked for."""
    return _hash(parent, kind, index)


def random_seed(of: str) -> int:
    """Seed in [0, 2^31) for everything random about the thing whose id is `of`. Fits every library's seed type."""
    return int(_hash(of, "random_seed")[:8], 16) & 0x7FFF_FFFF


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    return DIGEST.fullmatch(text) is not None


def digest_of(data: bytes) -> str:
    """`sha256:<hex>` of the bytes: the name under which blobs and policies are known everywhere."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _hash(*parts: str | int) -> str:
    # The separator cannot occur in a decimal number or an id, so no two part lists meet in one string.
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:ID_HEX_DIGITS]
