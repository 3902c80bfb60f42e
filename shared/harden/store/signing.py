"""Ed25519 signatures over policy manifests and publications. Only verified bytes may be loaded.

The signed bytes begin with the name of what the signature is for, so one made for a manifest never passes for a publication.

A key's id derives from the public key, so keys need no names on which signer and verifier could disagree.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from harden.codec import decode_manifest, encode_manifest, encode_publication
from harden.domain import ids
from harden.domain.errors import PoisonError, SetupError
from harden.domain.policy import PolicyManifest, PolicyPublished, RefusalReason, Signature, SignedManifest

SIGNING_KEY_FILE = "signing.pem"
VERIFY_KEY_FILE = "verify.pem"
# What a signature is for. Another list of signed fields is another purpose.
MANIFEST = "harden.policy.manifest.v1"
PUBLICATION = "harden.policy.publication.v1"


class Signer:
    """Holds the private key in `key_file` (PEM). SetupError where it cannot be used."""

    def __init__(self, key_file: Path) -> None:
        self.key_file = key_file
        self._key = _read_private(key_file)
        self.public_key = self._key.public_key()
        self.key_id = key_id_of(self.public_key)

    def sign_manifest(self, manifest: PolicyManifest) -> SignedManifest:
        """The same manifest gives the same bytes, signature included."""
        payload = encode_manifest(manifest)
        return SignedManifest(payload, self.key_id, self.sign(MANIFEST, payload).value)

    def sign_publication(self, published: PolicyPublished) -> PolicyPublished:
        return replace(published, signature=self.sign(PUBLICATION, encode_publication(published)))

    def sign(self, purpose: str, payload: bytes) -> Signature:
        return Signature(self.key_id, self._key.sign(_for(purpose, payload)))


class Verifier:
    """Trusts exactly the public keys given: PEM files, a directory of them, or keys by their id. None: no key is trusted."""

    def __init__(self, trusted: Path | Iterable[Path] | Mapping[str, Ed25519PublicKey]) -> None:
        if isinstance(trusted, Mapping):
            self._keys = dict(trusted)
            return
        if isinstance(trusted, Path):
            trusted = sorted(trusted.glob("*.pem")) if trusted.is_dir() else [trusted]
        keys = [read_public(path) for path in trusted]
        self._keys = {key_id_of(key): key for key in keys}

    def verify(self, signed: SignedManifest, expected_digest: str) -> PolicyManifest:
        """The manifest, once its digest and its signature hold; not a byte of the payload is decoded before that.

        PoisonError with a RefusalReason: "missing_signature", "unknown_key", "wrong_signature", "wrong_digest" or
        "unreadable_manifest".
        """
        self._check(MANIFEST, signed.payload, Signature(signed.key_id, signed.signature), f"the manifest of {expected_digest}")
        digest = ids.digest_of(signed.payload)
        if digest != expected_digest:
            raise PoisonError(RefusalReason.WRONG_DIGEST, f"the manifest of {expected_digest} is that of {digest}")
        return decode_manifest(signed.payload)

    def verify_publication(self, published: PolicyPublished) -> None:
        """PoisonError("missing_signature"), ("unknown_key") or ("wrong_signature") unless a trusted key signed all of it."""
        policy = published.policy
        what = f"the publication {policy.slot}/{policy.version} of {policy.digest}"
        self._check(PUBLICATION, encode_publication(published), published.signature, what)

    def _check(self, purpose: str, payload: bytes, signature: Signature, what: str) -> None:
        if not signature.value or not signature.key_id:
            raise PoisonError(RefusalReason.MISSING_SIGNATURE, f"{what} is not signed")
        key = self._keys.get(signature.key_id)
        if key is None:
            known = ", ".join(sorted(self._keys)) or "no key at all"
            raise PoisonError(RefusalReason.UNKNOWN_KEY, f"{what} is signed with a key other than {known}")
        try:
            key.verify(signature.value, _for(purpose, payload))
        except InvalidSignature as error:
            raise PoisonError(RefusalReason.WRONG_SIGNATURE, f"{signature.key_id} did not sign {what} as {purpose}") from error


def _for(purpose: str, payload: bytes) -> bytes:
    """What is signed. No purpose holds a zero byte, so no two of them can meet in the same bytes."""
    return purpose.encode() + b"\0" + payload


def generate_keypair(directory: Path) -> tuple[Path, Path]:
    """New `signing.pem` (its owner's only) and `verify.pem`. SetupError where one is there: keys are not overwritten."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    directory.mkdir(parents=True, exist_ok=True)
    paths = directory / SIGNING_KEY_FILE, directory / VERIFY_KEY_FILE
    _create(paths[0], private, mode=0o600)
    _create(paths[1], public, mode=0o644)
    return paths


def key_id_of(key: Ed25519PublicKey) -> str:
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    # 64 bits identify a key; trust rests on the signature.
    return f"ed25519-{hashlib.sha256(raw).hexdigest()[:16]}"


def read_public(path: Path) -> Ed25519PublicKey:
    """SetupError where the file holds no Ed25519 public key."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise SetupError(f"{path} is no public key in PEM: {error}; `harden` writes one as {VERIFY_KEY_FILE}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SetupError(f"{path} holds a {type(key).__name__}; policies are signed with Ed25519")
    return key


def _read_private(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        # Not chained: a parser's message might quote the key.
        raise SetupError(f"{path} is not a readable private key in PEM without a passphrase") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SetupError(f"{path} holds a {type(key).__name__}; policies are signed with Ed25519")
    return key


def _create(path: Path, content: bytes, mode: int) -> None:
    try:
        # Created with its mode, so that others can never read it.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise SetupError(f"{path} is there already; remove it if policies signed with it may stop being loaded") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
