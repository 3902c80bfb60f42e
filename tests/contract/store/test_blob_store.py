"""The store's contract, held by a directory, by memory and by a real S3 server."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import obstore
import pytest

from harden.domain import ids
from harden.domain.conversation import BlobRef
from harden.domain.errors import PoisonError
from harden.store.object_store import ObjectStore
from tests.contract.store.conftest import OpenStore

PICTURE = b"\x89PNG not really a picture"


def overwrite(store: ObjectStore, ref: BlobRef, data: bytes) -> None:
    """What a broken disk or a stranger with write access does."""
    obstore.put(store._store, ref.uri.removeprefix(f"{store.uri}/"), data, mode="overwrite")


def refusal(store: ObjectStore, ref: BlobRef) -> str:
    with pytest.raises(PoisonError) as caught:
        store.get(ref)
    return caught.value.reason


@pytest.mark.parametrize("size", [0, 1, 70_000, 12_000_000])
def test_what_is_put_can_be_got_with_its_reference(open_store: OpenStore, size: int) -> None:
    data = os.urandom(size)
    ref = open_store().put(data)
    assert (ref.sha256, ref.num_bytes) == (ids.digest_of(data), size)
    assert open_store().get(ref) == data


def test_a_blob_lies_under_its_digest(store: ObjectStore) -> None:
    ref = store.put(PICTURE)
    digest = ref.sha256.removeprefix("sha256:")
    assert ref.uri == f"{store.uri}/blobs/sha256/{digest[:2]}/{digest}"


def test_putting_twice_changes_nothing(open_store: OpenStore) -> None:
    assert open_store().put(PICTURE) == open_store().put(PICTURE)


def test_puts_never_overwrite(open_store: OpenStore) -> None:
    ref = open_store().put(PICTURE)
    overwrite(open_store(), ref, b"damaged")
    assert open_store().put(PICTURE) == ref
    assert refusal(open_store(), ref) == "wrong_digest"


def test_what_is_too_long_for_one_request_goes_in_parts_and_still_never_overwrites(open_store: OpenStore) -> None:
    data = os.urandom(12_000_000)
    ref = open_store(largest_single_put_bytes=1000).put(data)
    assert open_store().get(ref) == data
    overwrite(open_store(), ref, b"damaged")
    assert open_store(largest_single_put_bytes=1000).put(data) == ref
    assert refusal(open_store(), ref) == "wrong_digest"


def test_many_may_put_the_same_at_once(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        refs = set(threads.map(lambda store: store.put(PICTURE), stores))
    assert len(refs) == 1
    assert open_store().get(refs.pop()) == PICTURE


def test_one_store_serves_many_threads(store: ObjectStore) -> None:
    blobs = [bytes([i]) * 1000 for i in range(40)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda data: store.get(store.put(data)), blobs)) == blobs


def test_what_was_never_put_is_missing(open_store: OpenStore) -> None:
    ref = open_store().put(PICTURE)
    digest = ids.digest_of(b"never put")
    other = digest.removeprefix("sha256:")
    stranger = BlobRef(ref.uri.split("/blobs/")[0] + f"/blobs/sha256/{other[:2]}/{other}", digest, 9)
    assert refusal(open_store(), stranger) == "missing_blob"


@pytest.mark.parametrize("damaged", [PICTURE[:-1] + b"!", PICTURE[:-1], PICTURE + b"!", b""])
def test_damaged_bytes_are_never_returned(open_store: OpenStore, damaged: bytes) -> None:
    ref = open_store().put(PICTURE)
    overwrite(open_store(), ref, damaged)
    assert refusal(open_store(), ref) == "wrong_digest"


def test_a_reference_of_another_length_is_wrong_cached_or_not(open_store: OpenStore) -> None:
    store = open_store()
    ref = replace(store.put(PICTURE), num_bytes=3)
    assert refusal(store, ref) == "wrong_digest"
    assert refusal(open_store(), ref) == "wrong_digest"


@pytest.mark.parametrize(
    "uri", ["file:///etc/hostname", "s3://other/blobs", "http://169.254.169.254/latest", "blobs/../../x", "", "memory://other"]
)
def test_a_reference_to_elsewhere_is_refused_even_where_the_digest_is_known(store: ObjectStore, uri: str) -> None:
    ref = store.put(PICTURE)
    assert refusal(store, replace(ref, uri=uri)) == "missing_blob"
    assert refusal(store, replace(ref, uri=ref.uri.replace("/blobs/", "/blobs/../blobs/"))) == "missing_blob"


@pytest.mark.parametrize("digest", ["", "sha256:", "md5:abc", "sha256:../../../etc/hostname"])
def test_a_reference_without_a_digest_is_refused(store: ObjectStore, digest: str) -> None:
    assert refusal(store, replace(store.put(PICTURE), sha256=digest)) == "wrong_digest"


def test_a_blob_read_before_is_not_fetched_again(open_store: OpenStore) -> None:
    ref = open_store().put(PICTURE)
    store = open_store()
    store.get(ref)
    overwrite(open_store(), ref, b"damaged")
    assert store.get(ref) == PICTURE


def test_the_cache_is_bounded_and_keeps_what_was_used_last(open_store: OpenStore) -> None:
    blobs = [bytes([i]) * 1000 for i in range(3)]
    refs = [open_store().put(data) for data in blobs]
    store = open_store(cache_bytes=2000)
    for i in (0, 1, 0, 2):
        store.get(refs[i])
    for ref in refs:
        overwrite(open_store(), ref, b"damaged")
    assert store.get(refs[0]) == blobs[0]
    assert store.get(refs[2]) == blobs[2]
    assert refusal(store, refs[1]) == "wrong_digest"
