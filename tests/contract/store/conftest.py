"""Every store the contract is held to, each empty and with a place of its own."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harden.store.object_store import ObjectStore
from tests.support.s3 import S3Server, s3_server

OpenStore = Callable[..., ObjectStore]


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["file", "memory", pytest.param("s3", marks=pytest.mark.s3)])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Opens the same place again and again: what another process would see."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    options: dict[str, Any] | None = None
    if request.param == "file":
        uri = str(tmp_path / "a store")
    elif request.param == "memory":
        uri = f"memory://{name}"
    else:
        server: S3Server = request.getfixturevalue("s3")
        uri, options = f"{server.make_bucket(name)}/some/prefix", server.options()
    return lambda **arguments: ObjectStore(uri, options=options, **arguments)


@pytest.fixture
def store(open_store: OpenStore) -> ObjectStore:
    return open_store()
