"""A policy that is published as an adapter on another: what is served is both together, or it is refused with its reason."""

import json
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
from harden.domain.policy import PolicyBase, PolicyFile, PolicyRef, PolicyRefused, PolicyServed, RefusalReason
from harden.serving.follower import Source
from harden.serving.ports import GenerateRequest
from harden.serving.transformers_loader import TransformersLoader
from harden.store.object_store import ObjectStore
from harden.store.policies import publish_files, put_manifest
from tests.contract.serving.conftest import SLOT, Model, Site
from tests.contract.serving.test_bad_policies import assert_refused
from tests.contract.serving.test_policy_client import ROUNDING
from tests.contract.serving.test_restart import Replica
from tests.support.policies import Publishing, a_probe, wait_for
from tests.support.tiny_models import a_merged_model, a_text_model, an_adapter, an_image_text_model, some_prompts

WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"
REQUEST = GenerateRequest(some_prompts(1)[0], 2, Sampling(6), 1)


@pytest.fixture(scope="session")
def adapters(models: list[Model], tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    """Two on the first of `models`; probe and engine are of what peft merges them to."""
    found = []
    for seed in (1, 2):
        directory = an_adapter(models[0].directory, tmp_path_factory.mktemp("adapter"), random_seed=seed)
        merged = a_merged_model(models[0].directory, directory, tmp_path_factory.mktemp("merged"))
        found.append(Model(directory, a_probe(merged), TransformersLoader().load(merged)))
    return found


def base_of(publishing: Publishing, model: Model) -> PolicyBase:
    return publishing.base(model.directory, model.probe)


def assert_served(site: Site, policy: PolicyRef, model: Model) -> None:
    word = site.publishing.verdict_on(policy)
    assert isinstance(word, PolicyServed), word
    assert site.policies.served(SLOT) == policy
    (completions,) = site.policies.generate(SLOT, [REQUEST])
    (samples,) = model.engine.generate([REQUEST])
    for completion, sample in zip(completions, samples, strict=True):
        assert completion.token_ids == sample.token_ids
        assert completion.logprobs == pytest.approx(sample.logprobs, abs=ROUNDING)
        assert completion.policy_digest == policy.digest


def test_an_adapter_answers_as_the_policy_that_peft_merges(site: Site, models: list[Model], adapters: list[Model]) -> None:
    """Served after its base, after another adapter on that base, and after an unrelated policy."""
    whole = site.serve(models[0])
    base = PolicyBase(whole.digest, site.publishing.manifests[whole])
    for adapter in adapters:
        assert_served(site, site.publishing.publish(SLOT, adapter.directory, adapter.probe, base), adapter)
    site.serve(models[1])
    assert_served(site, site.publishing.publish(SLOT, adapters[0].directory, adapters[0].probe, base), adapters[0])


def test_a_base_that_no_slot_was_given_is_fetched_too(site: Site, models: list[Model], adapters: list[Model]) -> None:
    site.serve(models[1])
    base = base_of(site.publishing, models[0])
    assert_served(site, site.publishing.publish(SLOT, adapters[1].directory, adapters[1].probe, base), adapters[1])


def test_the_base_is_itself_again_after_its_adapters(site: Site, models: list[Model], adapters: list[Model]) -> None:
    whole = site.serve(models[0])
    base = PolicyBase(whole.digest, site.publishing.manifests[whole])
    assert_served(site, site.publishing.publish(SLOT, adapters[0].directory, adapters[0].probe, base), adapters[0])
    site.publishing.version += 1
    again = replace(whole, version=site.publishing.version)
    site.publishing.announce(again, base.manifest)
    assert_served(site, again, models[0])


# Adapters that do not fit


def rename_a_module(directory: Path) -> None:
    tensors = load_file(directory / WEIGHTS)
    save_file({name.replace("layers.0.", "layers.7."): tensor for name, tensor in tensors.items()}, directory / WEIGHTS)


def target_nothing_there_is(directory: Path) -> None:
    change_settings(directory, target_modules=["w_q"])


def target_less(directory: Path) -> None:
    """So that half of what the file brings has no place."""
    change_settings(directory, target_modules=["q_proj"])


def drop_a_tensor(directory: Path) -> None:
    tensors = load_file(directory / WEIGHTS)
    del tensors[sorted(tensors)[0]]
    save_file(tensors, directory / WEIGHTS)


def claim_another_rank(directory: Path) -> None:
    change_settings(directory, r=8)


def set_not_a_number(directory: Path) -> None:
    tensors = load_file(directory / WEIGHTS)
    tensors[sorted(tensors)[0]][0, 0] = float("nan")
    save_file(tensors, directory / WEIGHTS)


def mix_formats(directory: Path) -> None:
    tensors = load_file(directory / WEIGHTS)
    tensors[sorted(tensors)[0]] = tensors[sorted(tensors)[0]].half()
    save_file(tensors, directory / WEIGHTS)


def truncate(directory: Path) -> None:
    path = directory / WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])


def scale_otherwise(directory: Path) -> None:
    change_settings(directory, lora_alpha=9)


def ask_for_a_module_by_name(directory: Path) -> None:
    change_settings(directory, megatron_config={}, megatron_core="os")


def be_of_another_kind(directory: Path) -> None:
    change_settings(directory, peft_type="IA3")


def break_the_settings(directory: Path) -> None:
    (directory / SETTINGS).write_text("{")


def bring_a_tokenizer(directory: Path) -> None:
    (directory / "tokenizer.json").write_text("{}")


def change_settings(directory: Path, **changes: object) -> None:
    path = directory / SETTINGS
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DAMAGES = {
    rename_a_module: RefusalReason.UNKNOWN_MODULES,
    target_nothing_there_is: RefusalReason.UNKNOWN_MODULES,
    target_less: RefusalReason.UNKNOWN_MODULES,
    drop_a_tensor: RefusalReason.WRONG_SHAPES,
    claim_another_rank: RefusalReason.WRONG_SHAPES,
    set_not_a_number: RefusalReason.NOT_FINITE,
    mix_formats: RefusalReason.UNLOADABLE,
    truncate: RefusalReason.TRUNCATED,
    scale_otherwise: RefusalReason.PROBE_MISMATCH,
    ask_for_a_module_by_name: RefusalReason.UNLOADABLE,
    be_of_another_kind: RefusalReason.UNLOADABLE,
    break_the_settings: RefusalReason.UNLOADABLE,
    bring_a_tokenizer: RefusalReason.UNLOADABLE,
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.items(), ids=[damage.__name__ for damage in DAMAGES])
def test_damaged_adapters_are_refused(
    site: Site, models: list[Model], adapters: list[Model], tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    directory = tmp_path / "adapter"
    shutil.copytree(adapters[0].directory, directory)
    damage(directory)
    base = base_of(site.publishing, models[0])
    assert_refused(site, models, lambda: site.publishing.publish(SLOT, directory, adapters[0].probe, base), reason)


# Bases that will not do


def absent(blob: BlobRef) -> BlobRef:
    """Where something would lie that was never put."""
    digest = ids.digest_of(b"absent")
    return replace(blob, uri=blob.uri.replace(blob.sha256[7:], digest[7:]), sha256=digest)


def without_a_manifest(publishing: Publishing, model: Model, tmp_path: Path) -> PolicyBase:
    base = base_of(publishing, model)
    return replace(base, manifest=absent(base.manifest))


def without_its_weights(publishing: Publishing, model: Model, tmp_path: Path) -> PolicyBase:
    manifest = publishing.manifest(model.directory, model.probe)
    files = tuple(replace(f, blob=absent(f.blob)) if f.path.endswith(".safetensors") else f for f in manifest.files)
    blob, digest = put_manifest(publishing.store, publishing.signer, replace(manifest, files=files))
    return PolicyBase(digest, blob)


def signed_by_nobody(publishing: Publishing, model: Model, tmp_path: Path) -> PolicyBase:
    signed = publishing.signer.sign_manifest(publishing.manifest(model.directory, model.probe))
    blob = publishing.store.put(encode_signed(replace(signed, signature=bytes(64))))
    return PolicyBase(ids.digest_of(signed.payload), blob)


def under_another_digest(publishing: Publishing, model: Model, tmp_path: Path) -> PolicyBase:
    return replace(base_of(publishing, model), digest=ids.digest_of(b"another"))


def with_a_pickle(publishing: Publishing, model: Model, tmp_path: Path) -> PolicyBase:
    manifest = publishing.manifest(model.directory, model.probe)
    pickled = PolicyFile("pytorch_model.bin", publishing.store.put(b"pickled"))
    blob, digest = put_manifest(publishing.store, publishing.signer, replace(manifest, files=(*manifest.files, pickled)))
    return PolicyBase(digest, blob)


def that_is_an_adapter(publishing: Publishing, model: Model, tmp_path: Path) -> PolicyBase:
    adapter = an_adapter(model.directory, tmp_path / "between")
    manifest = publishing.manifest(adapter, model.probe, base_of(publishing, model))
    blob, digest = put_manifest(publishing.store, publishing.signer, manifest)
    return PolicyBase(digest, blob)


def that_is_narrower(publishing: Publishing, model: Model, tmp_path: Path) -> PolicyBase:
    return publishing.base(an_image_text_model(tmp_path / "narrow", num_layers=2, hidden=32), model.probe)


def that_sees_no_images(publishing: Publishing, model: Model, tmp_path: Path) -> PolicyBase:
    return publishing.base(a_text_model(tmp_path / "text", num_layers=2, hidden=64), model.probe)


def with_other_weights(publishing: Publishing, model: Model, tmp_path: Path) -> PolicyBase:
    return publishing.base(an_image_text_model(tmp_path / "other", random_seed=9, num_layers=2, hidden=64), model.probe)


BASES = {
    without_a_manifest: RefusalReason.MISSING_BASE,
    without_its_weights: RefusalReason.MISSING_BASE,
    signed_by_nobody: RefusalReason.WRONG_SIGNATURE,
    under_another_digest: RefusalReason.WRONG_DIGEST,
    with_a_pickle: RefusalReason.NOT_SAFETENSORS,
    that_is_an_adapter: RefusalReason.BASE_IS_ADAPTER,
    that_is_narrower: RefusalReason.WRONG_SHAPES,
    that_sees_no_images: RefusalReason.UNKNOWN_MODULES,
    with_other_weights: RefusalReason.PROBE_MISMATCH,
}


@pytest.mark.parametrize(("make", "reason"), BASES.items(), ids=[make.__name__ for make in BASES])
def test_an_adapter_on_a_base_that_will_not_do_is_refused(
    site: Site,
    models: list[Model],
    adapters: list[Model],
    tmp_path: Path,
    make: Callable[[Publishing, Model, Path], PolicyBase],
    reason: str,
) -> None:
    base = make(site.publishing, models[0], tmp_path)
    assert_refused(site, models, lambda: site.publishing.publish(SLOT, adapters[0].directory, adapters[0].probe, base), reason)


# What lies on a replica's disk


class Watched:
    """A store that notes what is fetched from it."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.fetched: list[str] = []

    def put(self, data: bytes) -> BlobRef:
        return self._store.put(data)

    def get(self, ref: BlobRef) -> bytes:
        self.fetched.append(ref.sha256)
        return self._store.get(ref)


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    return Replica(tmp_path)


def test_a_base_is_fetched_once(replica: Replica, models: list[Model], adapters: list[Model]) -> None:
    """Also where the slot goes back to it, and after a restart."""
    publishing, store = replica.publishing, Watched(ObjectStore(replica.publishing.store.uri))
    source = Source(replica.source.bus, store, replica.source.verifier)
    of_base = {file.blob.sha256 for file in publish_files(publishing.store, models[0].directory)}
    policies, heard = replica.start(source)
    with policies:
        site = Site(policies, publishing)
        whole = site.serve(models[0])
        assert of_base <= set(store.fetched)
        store.fetched.clear()
        base = PolicyBase(whole.digest, publishing.manifests[whole])
        for adapter in adapters:
            assert_served(site, publishing.publish(SLOT, adapter.directory, adapter.probe, base), adapter)
        publishing.version += 1
        publishing.announce(replace(whole, version=publishing.version), base.manifest)
        assert_served(site, replace(whole, version=publishing.version), models[0])
        last = publishing.publish(SLOT, adapters[0].directory, adapters[0].probe, base)
        assert_served(site, last, adapters[0])
        wait_for(lambda: heard.is_current is True, "the replica to be current")
    assert len(list((replica.work_dir / SLOT).iterdir())) == 6  # adapter and base with a manifest each, record, lock
    publishing.drain()
    policies, heard = replica.start(source)
    with policies:
        site = Site(policies, publishing)
        assert_served(site, last, adapters[0])
        assert_served(site, publishing.publish(SLOT, adapters[1].directory, adapters[1].probe, base), adapters[1])
        assert heard.not_restored_because == []
    assert not of_base & set(store.fetched)


def test_what_was_served_survives_a_bad_adapter_and_a_restart(
    replica: Replica, models: list[Model], adapters: list[Model]
) -> None:
    publishing = replica.publishing
    policies, _ = replica.start()
    with policies:
        base, other = base_of(publishing, models[0]), base_of(publishing, models[1])
        good = publishing.publish(SLOT, adapters[0].directory, adapters[0].probe, base)
        assert_served(Site(policies, publishing), good, adapters[0])
        for wrong in (base, other):  # the probe is that of another adapter
            bad = publishing.publish(SLOT, adapters[0].directory, adapters[1].probe, wrong)
            word = publishing.verdict_on(bad)
            assert isinstance(word, PolicyRefused)
            assert (word.reason, word.still_serving) == (RefusalReason.PROBE_MISMATCH, good)
        assert len(list((replica.work_dir / SLOT).iterdir())) == 6
    publishing.drain()
    policies, heard = replica.start()
    with policies:
        assert_served(Site(policies, publishing), good, adapters[0])
        assert heard.not_restored_because == []


def test_a_base_changed_on_the_disk_is_not_served_after_a_restart(
    replica: Replica, models: list[Model], adapters: list[Model]
) -> None:
    publishing = replica.publishing
    policies, _ = replica.start()
    with policies:
        base = base_of(publishing, models[0])
        good = publishing.publish(SLOT, adapters[0].directory, adapters[0].probe, base)
        assert_served(Site(policies, publishing), good, adapters[0])
    weights = replica.work_dir / SLOT / base.digest.removeprefix("sha256:") / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    publishing.drain()
    policies, heard = replica.start()
    with policies:
        assert_served(Site(policies, publishing), good, adapters[0])  # fetched again
        assert heard.not_restored_because == [RefusalReason.WRONG_DIGEST]
