"""Whose word counts: every way in which a manifest may not be what it should, and the reason given for it."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harden import codec
from harden.domain import ids
from harden.domain.errors import PoisonError, SetupError
from harden.domain.policy import SignedManifest
from harden.store.signing import MANIFEST, PUBLICATION, Signer, Verifier, generate_keypair
from tests.support.facts import a_digest, a_manifest


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(generate_keypair(tmp_path / "keys")[0])


@pytest.fixture
def verifier(signer: Signer) -> Verifier:
    return Verifier({signer.key_id: signer.public_key})


@pytest.fixture
def signed(signer: Signer) -> SignedManifest:
    return signer.sign_manifest(a_manifest())


def refusal(verifier: Verifier, signed: SignedManifest, digest: str | None = None) -> str:
    with pytest.raises(PoisonError) as caught:
        verifier.verify(signed, digest or ids.digest_of(signed.payload))
    return caught.value.reason


def test_a_manifest_signed_here_is_trusted_there(verifier: Verifier, signed: SignedManifest) -> None:
    assert verifier.verify(signed, ids.digest_of(signed.payload)) == a_manifest()


def test_signing_twice_gives_the_same_bytes(signer: Signer, signed: SignedManifest) -> None:
    assert codec.encode_signed(signer.sign_manifest(a_manifest())) == codec.encode_signed(signed)


@pytest.mark.parametrize("missing", [{"signature": b""}, {"key_id": ""}])
def test_an_unsigned_manifest(verifier: Verifier, signed: SignedManifest, missing: dict[str, bytes | str]) -> None:
    assert refusal(verifier, replace(signed, **missing)) == "missing_signature"  # type: ignore[arg-type]


@pytest.mark.parametrize("signature", [b"x", b"\x00" * 64, b"\xff" * 64, b"x" * 65])
def test_a_signature_that_is_none(verifier: Verifier, signed: SignedManifest, signature: bytes) -> None:
    assert refusal(verifier, replace(signed, signature=signature)) == "wrong_signature"


def test_every_changed_byte_of_the_payload_is_noticed(verifier: Verifier, signed: SignedManifest) -> None:
    for i in range(len(signed.payload)):
        changed = signed.payload[:i] + bytes([signed.payload[i] ^ 1]) + signed.payload[i + 1 :]
        assert refusal(verifier, replace(signed, payload=changed)) == "wrong_signature"


def test_a_stranger_s_key(tmp_path: Path, verifier: Verifier) -> None:
    stranger = Signer(generate_keypair(tmp_path / "stranger")[0])
    assert refusal(verifier, stranger.sign_manifest(a_manifest())) == "unknown_key"


def test_a_stranger_who_uses_our_key_s_name(tmp_path: Path, verifier: Verifier, signed: SignedManifest) -> None:
    stranger = Signer(generate_keypair(tmp_path / "stranger")[0])
    forged = replace(stranger.sign_manifest(a_manifest()), key_id=signed.key_id)
    assert refusal(verifier, forged) == "wrong_signature"


def test_a_good_manifest_in_another_s_place(verifier: Verifier, signed: SignedManifest) -> None:
    assert refusal(verifier, signed, a_digest("another policy")) == "wrong_digest"


def test_what_a_trusted_key_signed_must_still_be_a_manifest(signer: Signer, verifier: Verifier) -> None:
    payload = b"not a manifest"
    nonsense = SignedManifest(payload, signer.key_id, signer.sign(MANIFEST, payload).value)
    assert refusal(verifier, nonsense) == "unreadable_manifest"


@pytest.mark.parametrize("purpose", [PUBLICATION, ""])
def test_a_signature_made_for_something_else(signer: Signer, verifier: Verifier, signed: SignedManifest, purpose: str) -> None:
    moved = replace(signed, signature=signer.sign(purpose, signed.payload).value)
    assert refusal(verifier, moved) == "wrong_signature"


def test_without_keys_nobody_is_trusted(signed: SignedManifest, tmp_path: Path) -> None:
    for nobody in (Verifier(()), Verifier({}), Verifier(tmp_path)):
        assert refusal(nobody, signed) == "unknown_key"


def test_keys_may_be_given_as_files_or_as_their_directory(tmp_path: Path, signer: Signer, signed: SignedManifest) -> None:
    _, other = generate_keypair(tmp_path / "other")
    ours = tmp_path / "keys" / "verify.pem"
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    (trusted / "ours.pem").write_bytes(ours.read_bytes())
    (trusted / "other.pem").write_bytes(other.read_bytes())
    for keys in (ours, (other, ours), trusted):
        assert Verifier(keys).verify(signed, ids.digest_of(signed.payload)) == a_manifest()


def test_a_private_key_is_its_owner_s_only(tmp_path: Path) -> None:
    private, public = generate_keypair(tmp_path / "keys")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert b"PRIVATE" not in public.read_bytes()


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    private, _ = generate_keypair(tmp_path / "keys")
    before = private.read_bytes()
    with pytest.raises(SetupError, match="is there already"):
        generate_keypair(tmp_path / "keys")
    assert private.read_bytes() == before


def test_a_key_that_cannot_be_used_is_explained_and_not_quoted(tmp_path: Path) -> None:
    other_kind = ec.generate_private_key(ec.SECP256R1())
    bad = tmp_path / "bad.pem"
    pem = other_kind.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for content, says in ((b"secret words", "not a readable private key"), (pem, "signed with Ed25519")):
        bad.write_bytes(content)
        with pytest.raises(SetupError, match=says) as caught:
            Signer(bad)
        assert "secret words" not in str(caught.value)
        with pytest.raises(SetupError, match=r"bad\.pem is no public key"):
            Verifier((bad,))
    with pytest.raises(SetupError, match=r"absent\.pem"):
        Signer(tmp_path / "absent.pem")
