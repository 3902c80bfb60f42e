"""A policy's way through the store: what one side publishes is what the other loads, or a reason why not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harden import codec
from harden.domain import ids
from harden.domain.conversation import BlobRef
from harden.domain.errors import PoisonError
from harden.domain.policy import PolicyBase, PolicyFile, PolicyManifest, PolicyPublished, PolicyRef, Signature, Slot
from harden.store.object_store import ObjectStore
from harden.store.policies import (
    fetch_files,
    fetch_manifest,
    fetching_base,
    is_loadable,
    publish_files,
    put_manifest,
    read_base,
)
from harden.store.signing import MANIFEST, Signer, Verifier, generate_keypair
from tests.support.facts import a_blob, a_lineage, a_manifest

FILES = {"model.safetensors": b"weights", "config.json": b"{}", "tokenizer/vocab.txt": b"a b c"}


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(generate_keypair(tmp_path / "keys")[0])


@pytest.fixture
def verifier(signer: Signer) -> Verifier:
    return Verifier({signer.key_id: signer.public_key})


def publish(store: ObjectStore, signer: Signer, weights: bytes = b"weights") -> PolicyPublished:
    manifest = a_manifest(files=publish_files(store, {**FILES, "model.safetensors": weights}))
    ref, digest = put_manifest(store, signer, manifest)
    policy = PolicyRef(Slot.DEFENDER, 7, digest)
    return signer.sign_publication(PolicyPublished(policy, ref, a_lineage(), "run-0", "step", 1_700_000_000.0))


def refusal(store: ObjectStore, verifier: Verifier, published: PolicyPublished) -> str:
    with pytest.raises(PoisonError) as caught:
        fetch_manifest(store, verifier, published)
    return caught.value.reason


def test_what_is_published_arrives_whole(store: ObjectStore, signer: Signer, verifier: Verifier, tmp_path: Path) -> None:
    manifest = fetch_manifest(store, verifier, publish(store, signer))
    fetch_files(store, manifest, tmp_path / "out")
    found = {p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert found == FILES


def test_publishing_twice_gives_the_same_policy(store: ObjectStore, signer: Signer) -> None:
    assert publish(store, signer) == publish(store, signer)


def test_a_policy_is_named_by_what_was_signed(store: ObjectStore, signer: Signer) -> None:
    published = publish(store, signer)
    signed = codec.decode_signed(store.get(published.manifest))
    assert published.policy.digest == ids.digest_of(signed.payload)


def test_an_older_manifest_may_be_published_again(store: ObjectStore, signer: Signer, verifier: Verifier) -> None:
    published = publish(store, signer)
    again = replace(published, policy=replace(published.policy, version=99), reason="rollback")
    assert fetch_manifest(store, verifier, signer.sign_publication(again)) == fetch_manifest(store, verifier, published)


@pytest.mark.parametrize("change", [
    lambda p: replace(p, policy=replace(p.policy, slot="defender_stable")),
    lambda p: replace(p, policy=replace(p.policy, version=8)),
    lambda p: replace(p, policy=replace(p.policy, digest=ids.digest_of(b"another"))),
    lambda p: replace(p, run_id="run-1"),
    lambda p: replace(p, reason="rollback"),
    lambda p: replace(p, published_at=p.published_at + 1),
])  # fmt: skip
def test_everything_that_a_publication_says_is_signed(
    store: ObjectStore, signer: Signer, verifier: Verifier, change: Callable[[PolicyPublished], PolicyPublished]
) -> None:
    assert refusal(store, verifier, change(publish(store, signer))) == "wrong_signature"


def test_an_unsigned_publication_is_refused(store: ObjectStore, signer: Signer, verifier: Verifier) -> None:
    assert refusal(store, verifier, replace(publish(store, signer), signature=Signature("", b""))) == "missing_signature"


def test_a_signature_made_for_a_manifest_never_passes_for_a_publication(
    store: ObjectStore, signer: Signer, verifier: Verifier
) -> None:
    published = publish(store, signer)
    signature = signer.sign(MANIFEST, codec.encode_publication(published))
    assert refusal(store, verifier, replace(published, signature=signature)) == "wrong_signature"


def test_a_publication_that_names_another_policy_s_manifest_is_refused(
    store: ObjectStore, signer: Signer, verifier: Verifier
) -> None:
    ours, other = publish(store, signer), publish(store, signer, b"other weights")
    assert refusal(store, verifier, replace(ours, manifest=other.manifest)) == "wrong_digest"


def test_a_manifest_that_is_something_else_is_refused(store: ObjectStore, signer: Signer, verifier: Verifier) -> None:
    published = publish(store, signer)
    assert refusal(store, verifier, replace(published, manifest=store.put(b"anything"))) == "unreadable_manifest"
    elsewhere = BlobRef("file:///somewhere", published.manifest.sha256, published.manifest.num_bytes)
    assert refusal(store, verifier, replace(published, manifest=elsewhere)) == "missing_blob"


ADAPTER = {"adapter_model.safetensors": b"small", "adapter_config.json": b"{}"}


def a_base(store: ObjectStore, signer: Signer, manifest: PolicyManifest) -> PolicyBase:
    blob, digest = put_manifest(store, signer, manifest)
    return PolicyBase(digest, blob)


def test_an_adapter_names_its_base_by_digest(store: ObjectStore, signer: Signer, verifier: Verifier) -> None:
    """Another base, or another file, is another policy."""
    whole = a_manifest(files=publish_files(store, FILES))
    base = a_base(store, signer, whole)
    manifest = a_manifest(publish_files(store, ADAPTER), base)
    assert read_base(verifier, base, store.get(base.manifest)) == whole
    other_base = a_base(store, signer, replace(whole, lineage=replace(whole.lineage, step=13)))
    other_files = publish_files(store, {**ADAPTER, "adapter_model.safetensors": b"other"})
    changes = ({}, {"base": other_base}, {"files": other_files}, {"base": None})
    digests = {put_manifest(store, signer, replace(manifest, **change))[1] for change in changes}
    assert len(digests) == len(changes)


def test_a_base_must_be_whole_signed_and_the_one_that_was_named(store: ObjectStore, signer: Signer, verifier: Verifier) -> None:
    base = a_base(store, signer, a_manifest(files=publish_files(store, FILES)))
    chained = a_base(store, signer, a_manifest(publish_files(store, ADAPTER), base))
    unsigned = codec.encode_signed(replace(signer.sign_manifest(a_manifest()), signature=b""))
    for named, data, reason in (
        (chained, store.get(chained.manifest), "base_is_adapter"),
        (base, store.get(chained.manifest), "wrong_digest"),
        (base, unsigned, "missing_signature"),
        (base, b"anything", "unreadable_manifest"),
    ):
        with pytest.raises(PoisonError) as caught:
            read_base(verifier, named, data)
        assert caught.value.reason == reason


@pytest.mark.parametrize(("reason", "said"), [("missing_blob", "missing_base"), ("wrong_digest", "wrong_digest")])
def test_what_is_missing_while_a_base_is_fetched_is_the_base(reason: str, said: str) -> None:
    with pytest.raises(PoisonError) as caught, fetching_base(PolicyBase(ids.digest_of(b"base"), a_blob())):
        raise PoisonError(reason, "somewhere")
    assert caught.value.reason == said
    assert "somewhere" in caught.value.detail


def test_a_directory_brings_only_what_can_be_loaded(store: ObjectStore, tmp_path: Path) -> None:
    for name in (
        "model.safetensors",
        "config.json",
        "optimizer.pt",
        "README.md",
        "code.py",
        "sub/merges.txt",
        ".hidden/x.json",
    ):
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_bytes(name.encode())
    published = publish_files(store, tmp_path / "model")
    assert [file.path for file in published] == ["config.json", "model.safetensors", "sub/merges.txt"]
    assert store.get(published[2].blob) == b"sub/merges.txt"


@pytest.mark.parametrize("path", ["pytorch_model.bin", "model.pkl", "model.safetensors.py", "../config.json"])
def test_what_no_replica_would_take_is_not_published(store: ObjectStore, path: str) -> None:
    with pytest.raises(ValueError, match="cannot be part of a policy"):
        publish_files(store, {path: b"x"})


@pytest.mark.parametrize(
    "path",
    ["pytorch_model.bin", "model.pt", "x.pkl", "modeling.py", "a.zip", "noext", "", "/abs.json", "../up.json",
     "a/../../up.json", ".hidden.json", "a/.b/c.json", "a\\..\\b.json", "a\0.json"],
)  # fmt: skip
def test_no_file_is_written_where_one_may_not_be(store: ObjectStore, tmp_path: Path, path: str) -> None:
    good = PolicyFile("config.json", store.put(b"{}"))
    manifest = a_manifest(files=(good, PolicyFile(path, store.put(b"evil"))))
    with pytest.raises(PoisonError) as caught:
        fetch_files(store, manifest, tmp_path / "out")
    assert caught.value.reason == "not_safetensors"
    assert not (tmp_path / "out").exists()
    assert not is_loadable(path)


def test_a_file_that_is_not_in_the_store_is_missing(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(PoisonError) as caught:
        fetch_files(store, a_manifest(files=(PolicyFile("config.json", a_blob()),)), tmp_path)
    assert caught.value.reason == "missing_blob"
