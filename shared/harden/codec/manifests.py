"""Policy manifests and publications <-> the bytes that are stored, hashed and signed."""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from harden.codec.policies import read_manifest, write_manifest, write_policy_ref
from harden.codec.validation import first_violation
from harden.domain.errors import PoisonError
from harden.domain.policy import PolicyManifest, PolicyPublished, RefusalReason, SignedManifest
from harden.policy.v1 import policy_pb2

M = TypeVar("M", bound=Message)


def encode_manifest(manifest: PolicyManifest) -> bytes:
    """The payload to sign; equal manifests give equal bytes. ValueError naming the field where it is invalid."""
    message = policy_pb2.PolicyManifest()
    write_manifest(message, manifest)
    return _bytes_of(message)


def decode_manifest(payload: bytes) -> PolicyManifest:
    """PoisonError("unreadable_manifest") where the bytes are no valid manifest."""
    return read_manifest(_parse(policy_pb2.PolicyManifest(), payload))


def encode_publication(published: PolicyPublished) -> bytes:
    """What a publication's signature covers. ValueError naming the field where it is invalid."""
    message = policy_pb2.Publication(run_id=published.run_id, reason=published.reason, published_at=published.published_at)
    write_policy_ref(message.policy, published.policy)
    return _bytes_of(message)


def encode_signed(signed: SignedManifest) -> bytes:
    """What is put into the store. ValueError naming the field where it is invalid."""
    return _bytes_of(policy_pb2.SignedManifest(payload=signed.payload, key_id=signed.key_id, signature=signed.signature))


def decode_signed(data: bytes) -> SignedManifest:
    """PoisonError("unreadable_manifest") where the bytes are no signed manifest. The signature is not looked at here."""
    message = _parse(policy_pb2.SignedManifest(), data)
    return SignedManifest(payload=message.payload, key_id=message.key_id, signature=message.signature)


def _bytes_of(message: Message) -> bytes:
    violation = first_violation(message)
    if violation is not None:
        raise ValueError(f"{message.DESCRIPTOR.full_name} is invalid: {violation}")
    return message.SerializeToString(deterministic=True)


def _parse(message: M, data: bytes) -> M:
    name = message.DESCRIPTOR.full_name
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise PoisonError(RefusalReason.UNREADABLE_MANIFEST, f"{len(data)} bytes are not a {name}") from error
    violation = first_violation(message)
    if violation is not None:
        raise PoisonError(RefusalReason.UNREADABLE_MANIFEST, f"{name} {violation}")
    return message
