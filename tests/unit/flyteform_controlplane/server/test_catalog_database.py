"""The data catalog's own database: what lies where, and what happens when it cannot be had."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING

import grpc
import pytest
from flyteidl.admin.project_pb2 import ProjectGetRequest
from flyteidl.cacheservice import cacheservice_pb2
from flyteidl.cacheservice.cacheservice_pb2_grpc import CacheServiceStub
from flyteidl.datacatalog import datacatalog_pb2
from flyteidl.datacatalog.datacatalog_pb2_grpc import DataCatalogStub
from flyteidl.service.admin_pb2_grpc import AdminServiceStub
from sqlalchemy import Table, text

from flyteform_controlplane.errors import FailedPreconditionError
from flyteform_controlplane.server import Addresses, ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import migrate
from flyteform_controlplane.store.tables import projects
from flyteform_controlplane.store.tables_duties import cached_outputs, datasets
from support.postgres import Postgres, running_postgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

_numbers = count(1)
DATASET = datacatalog_pb2.DatasetID(project="p", domain="d", name="n", version="v")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """Give a PostgreSQL server."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Give the URLs of two empty databases of each kind: PostgreSQL's are of two users, neither may use the other's."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/admin.db", f"sqlite:///{tmp_path}/catalog.db"
    server: Postgres = request.getfixturevalue("postgres")
    number = next(_numbers)
    names = [f"admin{number}", f"catalog{number}"]
    for name in names:
        server.execute(f"CREATE USER {name}")
        server.execute(f"CREATE DATABASE {name} OWNER {name}")
        server.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    admin, catalog = (server.url(name).replace("flyteform@", f"{name}@") for name in names)
    return admin, catalog


@pytest.fixture
def stoppable() -> Iterator[tuple[Postgres, str]]:
    """Give a PostgreSQL server of the test's own, and a database in it."""
    with running_postgres() as server:
        yield server, server.create_database()


@asynccontextmanager
async def running(folder: Path, admin: str, catalog: str) -> AsyncIterator[Addresses]:
    """Run a control plane."""
    settings = ControlPlaneSettings(
        folder, grpc_port=0, http_port=0, database_url=admin, catalog_database_url=catalog, database_connections=4
    )
    control_plane = ControlPlane(settings)
    try:
        yield await control_plane.start()
    finally:
        await control_plane.stop()


async def rows(url: str, table: Table) -> int:
    """Count a table's rows."""
    database = Database(url)
    try:
        async with database.reading() as tx:
            return int((await tx.execute(text(f"SELECT count(*) FROM {table.name}"))).scalar_one())  # noqa: S608 - a table of ours
    finally:
        await database.close()


async def test_the_catalog_lies_in_its_own_database(tmp_path: Path, urls: tuple[str, str]) -> None:
    """What is cached is in the one, projects are in the other, and both are there after a restart."""
    admin, catalog = urls
    output = cacheservice_pb2.CachedOutput(output_uri="s3://bucket/outputs.pb")
    async with (
        running(tmp_path, admin, catalog) as addresses,
        grpc.aio.insecure_channel(addresses.grpc) as channel,
    ):
        dataset = datacatalog_pb2.Dataset(id=DATASET)
        await DataCatalogStub(channel).CreateDataset(datacatalog_pb2.CreateDatasetRequest(dataset=dataset))
        await CacheServiceStub(channel).Put(cacheservice_pb2.PutCacheRequest(key="k", output=output))
    async with (
        running(tmp_path, admin, catalog) as addresses,
        grpc.aio.insecure_channel(addresses.grpc) as channel,
    ):
        found = await DataCatalogStub(channel).GetDataset(datacatalog_pb2.GetDatasetRequest(dataset=DATASET))
        assert found.dataset.id.name == DATASET.name
        kept = await CacheServiceStub(channel).Get(cacheservice_pb2.GetCacheRequest(key="k"))
        assert kept.output.output_uri == output.output_uri
        assert (await AdminServiceStub(channel).GetProject(ProjectGetRequest(id="flytesnacks"))).id == "flytesnacks"
    assert [await rows(url, table) for url in urls for table in (datasets, cached_outputs)] == [0, 0, 1, 1]
    assert [await rows(url, projects) > 0 for url in urls] == [True, False]


async def test_a_catalog_that_is_newer_is_refused(tmp_path: Path, urls: tuple[str, str]) -> None:
    """Both schemas are looked at before anything is served, and the message says which one it is."""
    admin, catalog = urls
    database = Database(catalog)
    await migrate(database)
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.close()
    with pytest.raises(FailedPreconditionError, match=r"the data catalog's database.* 9999"):
        async with running(tmp_path, admin, catalog):
            pass


async def test_one_database_serves_both_unless_another_is_given(tmp_path: Path) -> None:
    """As it has been: what is cached lies beside everything else."""
    url = f"sqlite:///{tmp_path}/one.db"
    async with running(tmp_path, url, "") as addresses, grpc.aio.insecure_channel(addresses.grpc) as channel:
        dataset = datacatalog_pb2.Dataset(id=DATASET)
        await DataCatalogStub(channel).CreateDataset(datacatalog_pb2.CreateDatasetRequest(dataset=dataset))
    assert (await rows(url, datasets), await rows(url, projects) > 0) == (1, True)


async def test_a_catalog_that_is_gone_takes_nothing_else_with_it(
    tmp_path: Path, stoppable: tuple[Postgres, str]
) -> None:
    """Its calls are UNAVAILABLE, all others go on, and it is used again as soon as it is back."""
    server, url = stoppable
    async with running(tmp_path, "", url) as addresses, grpc.aio.insecure_channel(addresses.grpc) as channel:
        catalog, request = DataCatalogStub(channel), datacatalog_pb2.GetDatasetRequest(dataset=DATASET)
        # A loop of their own: they wait for the server by asking it.
        await asyncio.to_thread(server.stop, immediately=True)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await catalog.GetDataset(request)
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
        assert (await AdminServiceStub(channel).GetProject(ProjectGetRequest(id="flytesnacks"))).id == "flytesnacks"
        await asyncio.to_thread(server.start)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await catalog.GetDataset(request)
        assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
