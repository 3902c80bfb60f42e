"""The last policy a replica accepted, on its own disk: what it answers with after a restart until it knows better.

    DIRECTORY/accepted         the publication, as it came
    DIRECTORY/<hex>.manifest   the signed manifest, as it lay in the store
    DIRECTORY/<hex>/           its files
    DIRECTORY/lock             held by the replica as long as it lives

Manifest and files of an adapter's base lie beside the adapter's own. Nothing here is trusted after a restart: signatures,
digests and files are verified again when it is read. Besides the accepted policy there is at most the one that is being loaded,
each with its base.
"""

import fcntl
import hashlib
import os
import shutil
from pathlib import Path
from typing import Final

from harden import codec
from harden.bus.ports import Incoming
from harden.domain.errors import PoisonError
from harden.domain.events import Event
from harden.domain.policy import PolicyBase, PolicyManifest, PolicyPublished, PolicyRef, RefusalReason
from harden.store.policies import read_base, read_manifest
from harden.store.signing import Verifier
from harden.topics import POLICIES

EVENT: Final = "harden.policy.v1.PolicyPublished"
CHUNK_BYTES = 1 << 20


class LastAccepted:
    """Of one slot. Another live process that has the same directory keeps it; this one then has a directory of its own, which
    `close` removes, and remembers nothing."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = (directory / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.is_kept = True
        except OSError:
            self.is_kept = False
            directory = directory.with_name(f"{directory.name}-{os.getpid()}")
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
        self._directory = directory
        self._record = directory / "accepted"
        self._accepted: frozenset[str] = frozenset()  # digests of the policy accepted and of its base
        self._whole: set[str] = set()  # digests of policies with all files here, verified by this process

    def files_of(self, digest: str) -> Path:
        """Where the files of the policy lie."""
        return self._directory / digest.removeprefix("sha256:")

    def has(self, digest: str) -> bool:
        """Whether all files of the policy lie here, so that none need be fetched."""
        return digest in self._whole

    def room_for(self, digest: str, manifest: bytes) -> Path:
        """An empty directory for the files of a policy whose signed manifest these bytes are."""
        files = self.files_of(digest)
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir()
        _write_whole(self._manifest_of(digest), manifest)
        return files

    def arrived(self, digest: str) -> None:
        """All files of the policy are in its room, verified."""
        self._whole.add(digest)

    def accept(self, event: Event, policy: PolicyRef, base: PolicyBase | None) -> None:
        """From now on this is the last one. A crash at any point leaves the one before or this one."""
        _write_whole(self._record, codec.to_message(POLICIES, event).value)
        self._accepted = _digests(policy.digest, base)
        self.clear()

    def clear(self) -> None:
        """Makes room again: nothing stays but what was accepted."""
        self._whole &= self._accepted
        kept = {self._record, self._directory / "lock"}
        for digest in self._accepted:
            kept |= {self.files_of(digest), self._manifest_of(digest)}
        for path in set(self._directory.iterdir()) - kept:
            _remove(path)

    def read(self, verifier: Verifier) -> tuple[Event, PolicyPublished, PolicyManifest] | None:
        """What was accepted last, verified anew; None where nothing was. PoisonError with a RefusalReason."""
        if not self._record.exists():
            return None
        try:
            headers = (("event", EVENT.encode()),)
            event = codec.from_message(POLICIES, Incoming("local", 0, 0, None, self._record.read_bytes(), headers, 0))
            published = event.fact
            assert isinstance(published, PolicyPublished)  # the header names no other
            manifest = read_manifest(verifier, published, self._manifest_of(published.policy.digest).read_bytes())
            self._check_files(manifest, self.files_of(published.policy.digest))
            if manifest.base is not None:
                base = read_base(verifier, manifest.base, self._manifest_of(manifest.base.digest).read_bytes())
                self._check_files(base, self.files_of(manifest.base.digest))
        except PoisonError as error:
            if error.reason in ("malformed", "invalid"):
                raise PoisonError(RefusalReason.DAMAGED_RECORD, error.detail) from error
            raise
        except OSError as error:
            raise PoisonError(RefusalReason.DAMAGED_RECORD, f"the local record cannot be read: {error}") from error
        self._accepted = _digests(published.policy.digest, manifest.base)
        self._whole |= self._accepted
        return event, published, manifest

    def forget(self) -> None:
        self._accepted = frozenset()
        self._whole.clear()
        for path in self._directory.iterdir():
            if path.name != "lock":
                _remove(path)

    def close(self) -> None:
        """What was accepted stays."""
        if not self.is_kept:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._lock.close()

    def _check_files(self, manifest: PolicyManifest, directory: Path) -> None:
        found = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if not path.is_dir()}
        named = {file.path for file in manifest.files}
        if found != named:
            raise PoisonError(RefusalReason.DAMAGED_RECORD, f"files missing or too many: {', '.join(sorted(found ^ named))}")
        for file in manifest.files:
            if _digest_of(directory / file.path) != file.blob.sha256:
                raise PoisonError(RefusalReason.WRONG_DIGEST, f"{file.path} on the local disk is not what the manifest names")

    def _manifest_of(self, digest: str) -> Path:
        return self._directory / f"{digest.removeprefix('sha256:')}.manifest"


def _digests(digest: str, base: PolicyBase | None) -> frozenset[str]:
    return frozenset({digest} if base is None else {digest, base.digest})


def _write_whole(path: Path, data: bytes) -> None:
    """All of it or nothing, also when the machine stops."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _digest_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
