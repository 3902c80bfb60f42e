"""Policies in the store: files, then the signed manifest; and back, with everything checked on the way."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from harden.codec import decode_signed, encode_signed
from harden.domain import ids
from harden.domain.conversation import BlobRef
from harden.domain.errors import PoisonError
from harden.domain.policy import PolicyBase, PolicyFile, PolicyManifest, PolicyPublished, RefusalReason
from harden.store.ports import BlobStore
from harden.store.signing import Signer, Verifier

# What a Hugging Face directory needs and what cannot run code when it is read. No pickle, no Python, no archive.
LOADABLE_SUFFIXES = frozenset({".safetensors", ".json", ".jinja", ".txt", ".model"})


def publish_files(store: BlobStore, files: Path | Mapping[str, bytes | Path]) -> tuple[PolicyFile, ...]:
    """Puts the files of a model directory, or those given by their path in it; sorted by path.

    ValueError naming a file that no replica would take. A directory's other files (an optimiser, a README) stay behind.
    """
    if isinstance(files, Path):
        found = {path.relative_to(files).as_posix(): path for path in files.rglob("*") if path.is_file()}
        files = {path: file for path, file in found.items() if is_loadable(path)}
    published = []
    for path, content in sorted(files.items()):
        if not is_loadable(path):
            raise ValueError(f"{path} cannot be part of a policy; those are {', '.join(sorted(LOADABLE_SUFFIXES))}")
        published.append(PolicyFile(path, store.put(content.read_bytes() if isinstance(content, Path) else content)))
    return tuple(published)


def put_manifest(store: BlobStore, signer: Signer, manifest: PolicyManifest) -> tuple[BlobRef, str]:
    """Signs and puts the manifest, after its files; where it lies, and its digest. Doing it twice gives the same ones."""
    signed = signer.sign_manifest(manifest)
    return store.put(encode_signed(signed)), ids.digest_of(signed.payload)


def fetch_manifest(store: BlobStore, verifier: Verifier, published: PolicyPublished) -> PolicyManifest:
    """The manifest that `published` names, once both signatures hold. PoisonError with a RefusalReason, TransientError from
    the store."""
    verifier.verify_publication(published)  # before anything is fetched that it names
    return read_manifest(verifier, published, store.get(published.manifest))


def read_manifest(verifier: Verifier, published: PolicyPublished, data: bytes) -> PolicyManifest:
    """The manifest that `published` names, of the bytes that lie in the store. PoisonError with a RefusalReason."""
    verifier.verify_publication(published)
    return verifier.verify(decode_signed(data), published.policy.digest)


def read_base(verifier: Verifier, base: PolicyBase, data: bytes) -> PolicyManifest:
    """The manifest of an adapter's base, of the bytes that lie in the store. PoisonError with a RefusalReason.

    An adapter on an adapter is refused ("base_is_adapter"): its weights would depend on a chain of policies of any length, and
    every policy of the chain would have to stay in the store.
    """
    manifest = verifier.verify(decode_signed(data), base.digest)
    if manifest.base is not None:
        detail = f"the base {base.digest} is itself an adapter on {manifest.base.digest}"
        raise PoisonError(RefusalReason.BASE_IS_ADAPTER, detail)
    return manifest


@contextmanager
def fetching_base(base: PolicyBase) -> Iterator[None]:
    """What the store lacks while the base is fetched is "missing_base"."""
    try:
        yield
    except PoisonError as error:
        if error.reason != RefusalReason.MISSING_BLOB:
            raise
        raise PoisonError(RefusalReason.MISSING_BASE, f"the base {base.digest} cannot be fetched: {error.detail}") from error


def fetch_files(store: BlobStore, manifest: PolicyManifest, into: Path) -> None:
    """Writes the files of a verified manifest below `into`, each under its own path.

    PoisonError("not_safetensors") before anything is written where one is of a kind that is not loaded here or would
    leave `into`; "missing_blob", "wrong_digest", TransientError from the store.
    """
    for file in manifest.files:
        if not is_loadable(file.path):
            raise PoisonError(RefusalReason.NOT_SAFETENSORS, f"{file.path!r} is no file that a policy may bring")
    for file in manifest.files:
        path = into / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.get(file.blob))


def is_loadable(path: str) -> bool:
    """Whether a policy may bring a file of this path: relative, nothing hidden, no way up, a suffix that is only data."""
    parts = PurePosixPath(path).parts
    is_inside = bool(parts) and not any(part.startswith((".", "/")) or "\\" in part or "\0" in part for part in parts)
    return is_inside and PurePosixPath(path).suffix in LOADABLE_SUFFIXES
