"""The store port."""

from typing import Protocol

from harden.domain.conversation import BlobRef


class BlobStore(Protocol):
    """Content-addressed. Puts are create-only; a repeated put has no effect and returns the same reference."""

    def put(self, data: bytes) -> BlobRef:
        """Raises TransientError where the store does not answer."""
        ...

    def get(self, ref: BlobRef) -> bytes:
        """The bytes, their digest checked. Raises PoisonError("missing_blob" | "wrong_digest"), TransientError."""
        ...
