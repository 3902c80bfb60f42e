"""The object store: content-addressed blobs in a directory, in S3 or Google Cloud Storage, or in memory, over obstore.

<uri>/blobs/sha256/ab/ab12...   named by what they are, written once, never changed
"""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import LocalStore, MemoryStore, from_url

from harden.domain import ids
from harden.domain.conversation import BlobRef
from harden.domain.errors import PoisonError, SetupError, TransientError

T = TypeVar("T")

MIB = 1024 * 1024
# Enough for every picture of the bouts in flight; weights are read once and would only push them out.
CACHE_BYTES = 64 * MIB
LARGEST_CACHED_BYTES = 4 * MIB
# S3 takes 5 GB in one request at most; parts of a multipart upload also survive a lost connection one by one.
LARGEST_SINGLE_PUT_BYTES = 256 * MIB
# obstore retries 5xx answers and lost connections by itself within this; then TransientError leaves the retry to the worker.
RETRIES: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=10)}

REMOTE_SCHEMES = ("s3", "gs")
_memory_stores: dict[str, MemoryStore] = {}
_memory_lock = threading.Lock()


class ObjectStore:
    """A BlobStore at `uri`: a directory, `file:///directory`, `s3://bucket/prefix`, `gs://bucket/prefix` or `memory://name`.

    Memory of one name is shared by the whole process; `memory://` alone is private. `options` are obstore's own
    (`endpoint`, `region`, `access_key_id`, ...); what they leave out comes from the cloud's usual places, such as
    AWS_ENDPOINT_URL or the role of the pod. Safe to use from many threads.

    `called` is what references begin with in place of `uri`: what names blobs, such as a manifest, then has the same digest
    wherever the store lies. Every reader has to give it the same name.
    """

    def __init__(
        self,
        uri: str,
        *,
        options: Mapping[str, Any] | None = None,
        called: str | None = None,
        cache_bytes: int = CACHE_BYTES,
        largest_single_put_bytes: int = LARGEST_SINGLE_PUT_BYTES,
    ) -> None:
        self._store, opened = _open(uri, dict(options or {}))
        self.uri = called or opened
        self._cache = _Cache(cache_bytes)
        self._largest_single_put_bytes = largest_single_put_bytes

    def put(self, data: bytes) -> BlobRef:
        digest = ids.digest_of(data)
        key = _key(digest)
        ref = BlobRef(f"{self.uri}/{key}", digest, len(data))
        # Create-only, and whole or not at all: a directory gets the file by a link, S3 by If-None-Match. That it is there
        # already means the same bytes were put before.
        try:
            with contextlib.suppress(AlreadyExistsError):
                self._ask(f"put {digest}", lambda: self._write(key, data))
        except (NotFoundError, FileNotFoundError) as error:
            raise SetupError(f"{self.uri} is not there; make the bucket or the directory first") from error
        self._cache.add(digest, data)
        return ref

    def _write(self, key: str, data: bytes) -> None:
        if len(data) <= self._largest_single_put_bytes:
            obstore.put(self._store, key, data, mode="create", use_multipart=False)
        elif not self._has(key):
            # Uploads in parts cannot be create-only. Two writers at once write the same bytes: the key is their digest.
            obstore.put(self._store, key, data, use_multipart=True)

    def _has(self, key: str) -> bool:
        try:
            obstore.head(self._store, key)
        except (NotFoundError, FileNotFoundError):
            return False
        return True

    def get(self, ref: BlobRef) -> bytes:
        if not ids.is_digest(ref.sha256):
            raise PoisonError("wrong_digest", f"{ref.uri} comes with {ref.sha256!r}, which is no digest")
        key = _key(ref.sha256)
        if ref.uri != f"{self.uri}/{key}":
            # A sender that could name any place would make this process fetch from it.
            raise PoisonError("missing_blob", f"{ref.uri} is not the place of {ref.sha256} in the store {self.uri}")
        cached = self._cache.get(ref.sha256)
        if cached is None:
            cached = self._fetch(ref, key)
            self._cache.add(ref.sha256, cached)
        if len(cached) != ref.num_bytes:
            raise _wrong_size(ref, len(cached))
        return cached

    def _fetch(self, ref: BlobRef, key: str) -> bytes:
        def read() -> bytes:
            found = obstore.get(self._store, key)
            if found.meta["size"] != ref.num_bytes:
                raise _wrong_size(ref, found.meta["size"])
            return bytes(found.bytes())

        try:
            data = self._ask(f"get {ref.sha256}", read)
        except (NotFoundError, FileNotFoundError) as error:
            raise PoisonError("missing_blob", f"{ref.uri} is not there") from error
        if ids.digest_of(data) != ref.sha256:
            raise PoisonError("wrong_digest", f"what lies at {ref.uri} is not what its name says")
        return data

    def _ask(self, doing: str, call: Callable[[], T]) -> T:
        """Translates foreign exceptions; those that callers handle pass through."""
        try:
            return call()
        except (AlreadyExistsError, NotFoundError, FileNotFoundError):
            raise
        except (PermissionDeniedError, UnauthenticatedError, PermissionError) as error:
            raise SetupError(f"{self.uri} does not let this process {doing}; give it the rights or other keys") from error
        except (GenericError, OSError) as error:
            raise TransientError(f"{self.uri} did not {doing}: {_first_line(error)}") from error


class _Cache:
    """The blobs used last, up to a number of bytes. Content-addressed, so nothing in it is ever stale."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._blobs: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: str) -> bytes | None:
        with self._lock:
            data = self._blobs.get(digest)
            if data is not None:
                self._blobs.move_to_end(digest)
            return data

    def add(self, digest: str, data: bytes) -> None:
        if len(data) > min(LARGEST_CACHED_BYTES, self._max_bytes):
            return
        with self._lock:
            if digest not in self._blobs:
                self._blobs[digest] = data
                self._num_bytes += len(data)
            while self._num_bytes > self._max_bytes:
                self._num_bytes -= len(self._blobs.popitem(last=False)[1])


def _wrong_size(ref: BlobRef, num_bytes: int) -> PoisonError:
    return PoisonError("wrong_digest", f"{ref.uri} has {num_bytes} bytes, its reference says {ref.num_bytes}")


def _key(digest: str) -> str:
    hexadecimal = digest.removeprefix("sha256:")
    # Two digits of directory keep a million blobs at a few thousand a directory.
    return f"blobs/sha256/{hexadecimal[:2]}/{hexadecimal}"


def _open(uri: str, options: dict[str, Any]) -> tuple[Any, str]:
    """The obstore and the uri that references into it begin with."""
    parts = urlsplit(uri)
    try:
        if parts.scheme in REMOTE_SCHEMES and parts.netloc:
            # An endpoint without TLS is a person's explicit choice; nothing else makes this process speak plain HTTP.
            client: Any = {"allow_http": str(options.get("endpoint", "")).startswith("http://")} if options else None
            base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
            config: Any = options or None
            return from_url(base, config=config, client_options=client, retry_config=RETRIES), base
        if parts.scheme == "memory":
            name = (parts.netloc + parts.path).strip("/")
            return _memory(name), f"memory://{name}"
        if parts.scheme in {"", "file"}:
            directory = Path(unquote(parts.path) if parts.scheme else uri).resolve()
            return LocalStore(directory, mkdir=True), directory.as_uri()
    except (BaseError, OSError, ValueError) as error:
        raise SetupError(f"the store {uri} cannot be opened: {_first_line(error)}") from error
    kinds = "a directory, s3://bucket/prefix, gs://bucket/prefix or memory://name"
    raise SetupError(f"the store {uri} is of no known kind; give {kinds}")


def _memory(name: str) -> MemoryStore:
    if not name:
        return MemoryStore()
    with _memory_lock:
        return _memory_stores.setdefault(name, MemoryStore())


def _first_line(error: Exception) -> str:
    """obstore appends a debug dump of many lines to its messages."""
    return str(error).strip().split("\n", 1)[0]
