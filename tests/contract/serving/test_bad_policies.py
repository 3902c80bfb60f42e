"""A policy that is not what it claims to be is refused with its reason, and the old one keeps answering."""

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from harden.codec import encode_signed
from harden.domain import ids
from harden.domain.completion import Sampling
from harden.domain.conversation import BlobRef
from harden.domain.policy import (
    PolicyFile,
    PolicyManifest,
    PolicyPublished,
    PolicyRef,
    PolicyRefused,
    RefusalReason,
    SignedManifest,
)
from harden.serving.ports import GenerateRequest
from harden.store.policies import put_manifest
from harden.store.signing import Signer, generate_keypair
from tests.contract.serving.conftest import SLOT, Model, Site
from tests.support.policies import Publishing
from tests.support.tiny_models import IMAGE_TEXT_TEMPLATE, a_text_model, a_tokenizer, some_prompts

WEIGHTS = "model.safetensors"


def truncate(directory: Path) -> None:
    path = directory / WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])


def truncate_header(directory: Path) -> None:
    path = directory / WEIGHTS
    path.write_bytes(path.read_bytes()[:100])


def disguise_a_pickle(directory: Path) -> None:
    (directory / WEIGHTS).write_bytes(pickle.dumps({"weights": [0.0] * 100}))


def set_not_a_number(directory: Path) -> None:
    change_weight(
        directory, "embed_tokens.weight", lambda tensor: tensor.index_fill_(0, tensor.argmax()[None] * 0, float("nan"))
    )


def set_infinity(directory: Path) -> None:
    change_weight(directory, "lm_head.weight", lambda tensor: tensor.clamp_(min=float("inf")))


def change_weight(directory: Path, ending: str, change: Callable) -> None:
    weights = load_file(directory / WEIGHTS)
    (name,) = [name for name in weights if name.endswith(ending)]
    change(weights[name])
    save_file(weights, directory / WEIGHTS, metadata={"format": "pt"})


def ask_for_another_shape(directory: Path) -> None:
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config["text_config"]["intermediate_size"] *= 2
    path.write_text(json.dumps(config))


def drop_a_weight(directory: Path) -> None:
    weights = load_file(directory / WEIGHTS)
    del weights[next(name for name in weights if name.endswith("q_proj.weight"))]
    save_file(weights, directory / WEIGHTS, metadata={"format": "pt"})


def bring_another_architecture(directory: Path) -> None:
    """Weights of a text model beside the configuration of an image-text one."""
    shutil.copy(a_text_model(directory.parent / "text", num_layers=2, hidden=64) / WEIGHTS, directory / WEIGHTS)


def bring_too_many_words(directory: Path) -> None:
    a_tokenizer(IMAGE_TEXT_TEMPLATE, num_words=600).save_pretrained(directory)


def break_the_configuration(directory: Path) -> None:
    (directory / "config.json").write_text("{")


DAMAGES = {
    truncate: RefusalReason.TRUNCATED,
    truncate_header: RefusalReason.TRUNCATED,
    disguise_a_pickle: RefusalReason.NOT_SAFETENSORS,
    set_not_a_number: RefusalReason.NOT_FINITE,
    set_infinity: RefusalReason.NOT_FINITE,
    ask_for_another_shape: RefusalReason.WRONG_SHAPES,
    drop_a_weight: RefusalReason.WRONG_SHAPES,
    bring_another_architecture: RefusalReason.WRONG_SHAPES,
    bring_too_many_words: RefusalReason.WRONG_VOCABULARY,
    break_the_configuration: RefusalReason.UNLOADABLE,
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.items(), ids=[damage.__name__ for damage in DAMAGES])
def test_damaged_files_are_refused(
    site: Site, models: list[Model], tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    directory = tmp_path / "model"
    shutil.copytree(models[1].directory, directory)
    damage(directory)
    assert_refused(site, models, lambda: site.publishing.publish(SLOT, directory, models[1].probe), reason)


def with_wrong_signature(publishing: Publishing, manifest: PolicyManifest) -> tuple[PolicyRef, BlobRef]:
    signed = publishing.signer.sign_manifest(manifest)
    return put_signed(publishing, replace(signed, signature=bytes(64)))


def without_signature(publishing: Publishing, manifest: PolicyManifest) -> tuple[PolicyRef, BlobRef]:
    signed = publishing.signer.sign_manifest(manifest)
    return put_signed(publishing, replace(signed, signature=b""))


def with_changed_payload(publishing: Publishing, manifest: PolicyManifest) -> tuple[PolicyRef, BlobRef]:
    signed = publishing.signer.sign_manifest(manifest)
    other = publishing.signer.sign_manifest(replace(manifest, lineage=replace(manifest.lineage, step=1000)))
    return put_signed(publishing, replace(signed, payload=other.payload))


def put_signed(publishing: Publishing, signed: SignedManifest) -> tuple[PolicyRef, BlobRef]:
    version = publishing.version
    return PolicyRef(SLOT, version, ids.digest_of(signed.payload)), publishing.store.put(encode_signed(signed))


def with_an_unknown_key(publishing: Publishing, manifest: PolicyManifest, tmp_path: Path) -> tuple[PolicyRef, BlobRef]:
    signing_key, _ = generate_keypair(tmp_path / "other-keys")
    blob, digest = put_manifest(publishing.store, Signer(signing_key), manifest)
    policy = PolicyRef(SLOT, publishing.version, digest)
    return policy, blob


def under_another_digest(publishing: Publishing, manifest: PolicyManifest) -> tuple[PolicyRef, BlobRef]:
    blob, digest = put_manifest(publishing.store, publishing.signer, manifest)
    policy = PolicyRef(SLOT, publishing.version, digest)
    return replace(policy, digest=ids.digest_of(b"something else")), blob


def with_a_pickle(publishing: Publishing, manifest: PolicyManifest) -> tuple[PolicyRef, BlobRef]:
    pickled = PolicyFile("pytorch_model.bin", publishing.store.put(pickle.dumps({})))
    blob, digest = put_manifest(publishing.store, publishing.signer, replace(manifest, files=(*manifest.files, pickled)))
    policy = PolicyRef(SLOT, publishing.version, digest)
    return policy, blob


def with_a_missing_file(publishing: Publishing, manifest: PolicyManifest) -> tuple[PolicyRef, BlobRef]:
    lost = publishing.store.put(b"lost")
    absent = replace(lost, uri=lost.uri.replace(lost.sha256[7:], ids.digest_of(b"absent")[7:]), sha256=ids.digest_of(b"absent"))
    files = (*manifest.files[1:], replace(manifest.files[0], blob=absent))
    blob, digest = put_manifest(publishing.store, publishing.signer, replace(manifest, files=files))
    policy = PolicyRef(SLOT, publishing.version, digest)
    return policy, blob


def with_another_probe(publishing: Publishing, manifest: PolicyManifest) -> tuple[PolicyRef, BlobRef]:
    first = manifest.probe.prompts[0]
    moved = replace(first, logprobs=tuple(value - 0.01 for value in first.logprobs))
    probe = replace(manifest.probe, prompts=(moved, *manifest.probe.prompts[1:]))
    blob, digest = put_manifest(publishing.store, publishing.signer, replace(manifest, probe=probe))
    policy = PolicyRef(SLOT, publishing.version, digest)
    return policy, blob


def with_garbage_for_a_manifest(publishing: Publishing, manifest: PolicyManifest) -> tuple[PolicyRef, BlobRef]:
    return PolicyRef(SLOT, publishing.version, ids.digest_of(b"garbage")), publishing.store.put(b"\xff" * 50)


FORGERIES = {
    with_wrong_signature: RefusalReason.WRONG_SIGNATURE,
    without_signature: RefusalReason.MISSING_SIGNATURE,
    with_changed_payload: RefusalReason.WRONG_SIGNATURE,
    under_another_digest: RefusalReason.WRONG_DIGEST,
    with_a_pickle: RefusalReason.NOT_SAFETENSORS,
    with_a_missing_file: RefusalReason.MISSING_BLOB,
    with_another_probe: RefusalReason.PROBE_MISMATCH,
    with_garbage_for_a_manifest: RefusalReason.UNREADABLE_MANIFEST,
}


@pytest.mark.parametrize(("forge", "reason"), FORGERIES.items(), ids=[forge.__name__ for forge in FORGERIES])
def test_forged_manifests_are_refused(
    site: Site, models: list[Model], forge: Callable[[Publishing, PolicyManifest], tuple[PolicyRef, BlobRef]], reason: str
) -> None:
    def publish() -> PolicyRef:
        manifest = site.publishing.manifest(models[1].directory, models[1].probe)
        policy, blob = forge(site.publishing, manifest)
        site.publishing.announce(policy, blob)
        return policy

    assert_refused(site, models, publish, reason)


@pytest.mark.parametrize("is_same_policy", [True, False], ids=["what is served", "another policy"])
def test_a_publication_that_nobody_signed_is_refused(site: Site, models: list[Model], is_same_policy: bool) -> None:
    """Also where the policy itself is fine and served already: the word that it is the slot's must be the trainer's."""

    def publish() -> PolicyRef:
        publishing = site.publishing
        model = models[0 if is_same_policy else 1]
        good = site.policies.served(SLOT)
        assert good is not None
        manifest = publishing.manifest(model.directory, model.probe)
        blob, digest = put_manifest(publishing.store, publishing.signer, manifest)
        if is_same_policy:
            blob, digest = publishing.manifests[good], good.digest
        policy = PolicyRef(SLOT, publishing.version, digest)
        signed_for_another_slot = publishing.signer.sign_publication(
            PolicyPublished(replace(policy, slot="opponent"), blob, manifest.lineage, "run", "step", 1.0)
        )
        publishing.send(replace(signed_for_another_slot, policy=policy))
        return policy

    assert_refused(site, models, publish, RefusalReason.WRONG_SIGNATURE)


def test_a_publication_that_was_overtaken_is_not_played_again(site: Site, models: list[Model]) -> None:
    old = site.serve(models[1])

    def publish() -> PolicyRef:
        site.publishing.statuses.clear()  # that it was served once
        site.publishing.announce(old, site.publishing.manifests[old])
        return old

    assert_refused(site, models, publish, RefusalReason.OLD_VERSION)


def test_a_key_that_nobody_trusts_is_refused(site: Site, models: list[Model], tmp_path: Path) -> None:
    def publish() -> PolicyRef:
        manifest = site.publishing.manifest(models[1].directory, models[1].probe)
        policy, blob = with_an_unknown_key(site.publishing, manifest, tmp_path)
        site.publishing.announce(policy, blob)
        return policy

    assert_refused(site, models, publish, RefusalReason.UNKNOWN_KEY)


def test_a_file_changed_in_the_store_is_refused(site: Site, models: list[Model], tmp_path: Path) -> None:
    directory = tmp_path / "model"
    shutil.copytree(models[1].directory, directory)
    # Weights nobody has fetched before: what was fetched is known by its digest.
    change_weight(directory, "lm_head.weight", lambda tensor: tensor.mul_(1.01))

    def publish() -> PolicyRef:
        manifest = site.publishing.manifest(directory, models[1].probe)
        (weights,) = [file.blob for file in manifest.files if file.path == WEIGHTS]
        stored = Path(weights.uri.removeprefix("file://"))
        data = bytearray(stored.read_bytes())
        data[-1] ^= 1
        stored.chmod(0o644)
        stored.write_bytes(data)
        blob, digest = put_manifest(site.publishing.store, site.publishing.signer, manifest)
        policy = PolicyRef(SLOT, site.publishing.version, digest)
        site.publishing.announce(policy, blob)
        return policy

    assert_refused(site, models, publish, RefusalReason.WRONG_DIGEST)


def assert_refused(site: Site, models: list[Model], publish: Callable[[], PolicyRef], reason: str) -> None:
    good = site.serve(models[0])
    request = GenerateRequest(some_prompts(1)[0], 2, Sampling(6), 1)
    before = site.policies.generate(SLOT, [request])
    word = site.publishing.verdict_on(publish())
    assert isinstance(word, PolicyRefused), word
    assert word.reason == reason, word.detail
    assert word.still_serving == good
    assert site.policies.served(SLOT) == good
    assert site.policies.generate(SLOT, [request]) == before
