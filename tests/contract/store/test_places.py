"""What a store's uri may say, and what a person reads when the place is not usable."""

import os
import socket
import stat
from pathlib import Path

import pytest

from harden.domain.errors import PoisonError, SetupError, TransientError
from harden.store.object_store import ObjectStore
from tests.support.s3 import S3Server


def test_a_directory_may_be_named_in_three_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ref = ObjectStore("my store").put(b"x")
    assert ObjectStore(str(tmp_path / "my store")).get(ref) == b"x"
    assert ObjectStore((tmp_path / "my store").as_uri()).get(ref) == b"x"


def test_blobs_of_a_directory_are_plain_files(tmp_path: Path) -> None:
    ref = ObjectStore(str(tmp_path)).put(b"x")
    path = tmp_path / ref.uri.removeprefix(tmp_path.as_uri() + "/")
    assert path.read_bytes() == b"x"
    assert stat.S_ISREG(path.stat().st_mode)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


def test_memory_of_one_name_is_shared_and_without_a_name_is_not() -> None:
    ref = ObjectStore("memory://shared-by-name").put(b"x")
    assert ObjectStore("memory://shared-by-name").get(ref) == b"x"
    private = ObjectStore("memory://").put(b"x")
    with pytest.raises(PoisonError):
        ObjectStore("memory://").get(private)


@pytest.mark.parametrize("uri", ["ftp://host/x", "s3://", "s3:bucket", "http://host/x"])
def test_a_uri_of_no_known_kind_is_explained(uri: str) -> None:
    with pytest.raises(SetupError, match="give a directory, s3://bucket/prefix"):
        ObjectStore(uri)


def test_a_file_where_the_directory_should_be_is_explained(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(SetupError, match="cannot be opened"):
        ObjectStore(str(tmp_path / "taken" / "store"))


def test_a_server_that_does_not_answer_is_a_bad_moment() -> None:
    with socket.socket() as nobody:  # bound and not listening: connections are refused
        nobody.bind(("127.0.0.1", 0))
        options = {"endpoint": f"http://127.0.0.1:{nobody.getsockname()[1]}", "access_key_id": "a", "secret_access_key": "b"}
        store = ObjectStore("s3://bucket/prefix", options={**options, "region": "us-east-1"})
        with pytest.raises(TransientError, match="s3://bucket/prefix did not put"):
            store.put(b"x")


@pytest.mark.s3
def test_wrong_keys_are_a_matter_for_a_person(s3: S3Server) -> None:
    uri = s3.make_bucket("locked")
    store = ObjectStore(uri, options=s3.options(secret_access_key="wrong"))
    with pytest.raises(SetupError, match="give it the rights or other keys"):
        store.put(b"x")


@pytest.mark.s3
def test_a_missing_bucket_is_a_matter_for_a_person(s3: S3Server) -> None:
    with pytest.raises(SetupError, match="make the bucket"):
        ObjectStore("s3://nobody-made-this", options=s3.options()).put(b"x")


@pytest.mark.s3
def test_settings_left_out_come_from_the_usual_places(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = s3.make_bucket("usual")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3.port}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.options()["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.options()["secret_access_key"])
    data = os.urandom(10)
    assert ObjectStore(uri).get(ObjectStore(uri).put(data)) == data
