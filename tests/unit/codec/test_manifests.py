"""Manifests: what may be written, and what a reader makes of bytes from a stranger."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harden import codec
from harden.domain import ids
from harden.domain.errors import PoisonError
from harden.domain.policy import PolicyBase, PolicyFile, PolicyManifest, Probe, ProbePrompt, SignedManifest
from tests.support.facts import a_blob, a_manifest

BEFORE_ADAPTERS = "sha256:9d7a40c99e43b96e0868fe0355f9306465e34f54c8c7f925c0f6d002e4ea6388"


def refusal(read: Callable[[bytes], Any], data: bytes) -> PoisonError:
    with pytest.raises(PoisonError) as caught:
        read(data)
    return caught.value


def with_file(path: str) -> PolicyManifest:
    return a_manifest(files=(PolicyFile(path, a_blob()),))


def with_probe(token_ids: tuple[int, ...], logprobs: tuple[float, ...], tolerance: float = 1e-3) -> PolicyManifest:
    conversation = a_manifest().probe.prompts[0].conversation
    return replace(a_manifest(), probe=Probe((ProbePrompt(conversation, token_ids, logprobs),), tolerance))


@pytest.mark.parametrize("data", [b"", b"\xff\xff", b"not a manifest at all"], ids=["empty", "no protobuf", "text"])
def test_bytes_that_are_no_manifest_are_unreadable(data: bytes) -> None:
    assert refusal(codec.decode_manifest, data).reason == "unreadable_manifest"
    assert refusal(codec.decode_signed, data).reason == "unreadable_manifest"


@pytest.mark.parametrize("path", ["../up.json", "/etc/passwd", "a/../b.json", "a//b.json", ".hidden", "", "a\\b", "a/", "a\nb"])
def test_a_path_that_leads_elsewhere_is_no_manifest(path: str) -> None:
    with pytest.raises(ValueError, match=r"files\[0\]\.path"):
        codec.encode_manifest(with_file(path))


@pytest.mark.parametrize("path", ["model.safetensors", "tokenizer/tokenizer_config.json", "model-00001-of-00002.safetensors"])
def test_paths_of_a_model_directory_are_fine(path: str) -> None:
    assert codec.decode_manifest(codec.encode_manifest(with_file(path))).files[0].path == path


@pytest.mark.parametrize(
    ("manifest", "field"),
    [
        (replace(a_manifest(), probe=Probe((), 1e-3)), "probe.prompts"),
        (with_probe((), ()), "token_ids"),
        (with_probe((1, 2), (-1.0,)), "same length"),
        (with_probe((1,), (float("nan"),)), "logprobs"),
        (with_probe((1,), (-1.0,), tolerance=0.0), "tolerance"),
        (with_probe((1,), (-1.0,), tolerance=float("inf")), "tolerance"),
    ],
    ids=["no prompts", "no tokens", "lengths", "nan", "no tolerance", "any tolerance"],
)
def test_a_probe_that_proves_nothing_is_not_written(manifest: PolicyManifest, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        codec.encode_manifest(manifest)


def test_a_manifest_without_a_base_has_the_bytes_it_had_before_there_were_adapters() -> None:
    """Its digest is the policy's name, which must not change."""
    assert ids.digest_of(codec.encode_manifest(a_manifest())) == BEFORE_ADAPTERS


@pytest.mark.parametrize("digest", ["", "sha256:0", "md5:" + "0" * 64])
def test_a_base_without_a_digest_is_not_written(digest: str) -> None:
    with pytest.raises(ValueError, match=r"base\.digest"):
        codec.encode_manifest(a_manifest(base=PolicyBase(digest, a_blob())))


def test_probe_log_probs_are_not_rounded() -> None:
    manifest = with_probe((1,), (-0.1,))
    assert codec.decode_manifest(codec.encode_manifest(manifest)) == manifest


def test_an_unsigned_manifest_can_be_read_so_that_it_can_be_refused_for_that() -> None:
    unsigned = SignedManifest(b"payload", "", b"")
    assert codec.decode_signed(codec.encode_signed(unsigned)) == unsigned
