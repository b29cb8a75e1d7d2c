"""Every kind of place for a state, each test with an empty one."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from obstore.exceptions import GenericError
from obstore.store import S3Store

from flyteform.provision.state_bucket import BucketBackend
from flyteform.provision.state_file import FileBackend
from flyteform.provision.state_memory import MemoryBackend
from flyteform.provision.state_service import ServiceBackend
from support.azure import AzureServer, running_azure
from support.control_plane import control_plane
from support.gcs import GcsServer, running_gcs
from support.platform import wait_until
from support.s3 import BUCKET, KEY, REGION, SECRET, S3Server, running_s3

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from obstore.store import S3Config

    from flyteform.provision.ports import StateBackend

KINDS = ("memory", "file", "s3", "azure", "gcs", "service")


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """Give a server with one bucket; each test takes a name of its own in it."""
    with running_s3() as server:
        wait_until(lambda: _has_bucket(server), seconds=60, what="the bucket is there")
        yield server


@pytest.fixture(scope="session")
def azure() -> Iterator[AzureServer]:
    """Give a server of Azure's with one container."""
    with running_azure() as server:
        yield server


@pytest.fixture(scope="session")
def gcs() -> Iterator[GcsServer]:
    """Give our own server of GCS's interface with one bucket."""
    with running_gcs() as server:
        yield server


def _has_bucket(server: S3Server) -> bool:
    """Say whether the bucket can be read: the server answers a little before."""
    bucket = S3Store(BUCKET, config=_config(server), client_options={"allow_http": True})
    try:
        return bool(bucket.list("nothing").collect() == [])
    except GenericError:
        return False


def _config(server: S3Server) -> S3Config:
    return {
        "endpoint": server.endpoint,
        "access_key_id": KEY,
        "secret_access_key": SECRET,
        "region": REGION,
    }


@dataclass
class Place:
    """A place that any number of processes can open; `forward` lets time pass for its leases, where they expire."""

    kind: str
    open: Callable[[], StateBackend]
    forward: Callable[[float], None]


@pytest.fixture(params=KINDS)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Give an empty place of each kind."""
    async with PLACES[request.param](request, tmp_path) as found:
        yield found


@asynccontextmanager
async def _memory(_request: pytest.FixtureRequest, _folder: Path) -> AsyncIterator[Place]:
    backend = MemoryBackend()
    yield Place("memory", lambda: backend, lambda _: None)


@asynccontextmanager
async def _file(_request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Place]:
    yield Place("file", lambda: FileBackend(folder / "below" / "s.json"), lambda _: None)


@asynccontextmanager
async def _bucket(request: pytest.FixtureRequest, _folder: Path) -> AsyncIterator[Place]:
    """Give a bucket as a user names it: by its URL, and the settings of its maker in the environment."""
    kind = request.param
    server: S3Server | AzureServer | GcsServer = request.getfixturevalue(kind)
    now = [1_000_000.0]

    def forward(seconds: float) -> None:
        now[0] += seconds

    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        url = f"{server.new_prefix()}/s.json"
        yield Place(kind, lambda: BucketBackend(url, clock=lambda: now[0]), forward)


@asynccontextmanager
async def _service(_request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Place]:
    passed = [timedelta()]

    def forward(seconds: float) -> None:
        passed[0] += timedelta(seconds=seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flyteform_controlplane.services.states.now", lambda: datetime.now(UTC) + passed[0])
        async with control_plane(folder) as client:
            url = "flyteform://flytesnacks/development/s"
            yield Place("service", lambda: ServiceBackend(url, client.caller), forward)


BUCKETS = ("s3", "azure", "gcs")
PLACES = {"memory": _memory, "file": _file, "service": _service} | dict.fromkeys(BUCKETS, _bucket)
