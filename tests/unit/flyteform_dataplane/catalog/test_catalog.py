"""The cache of task results: how results are named, found, kept, and when a hit is none."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.core import literals_pb2, tasks_pb2, types_pb2
from flyteidl.core.identifier_pb2 import Identifier, WorkflowExecutionIdentifier
from flyteidl.datacatalog import datacatalog_pb2 as messages
from flyteidl.datacatalog.datacatalog_pb2_grpc import DataCatalogStub
from hypothesis import given
from hypothesis import strategies as st

from flyteform.errors import UnavailableError
from flyteform.objects import open_store
from flyteform_controlplane.services.catalog import CatalogService
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import migrate
from flyteform_controlplane.transport.grpc_server import GrpcServer
from flyteform_controlplane.transport.interceptors import STANDARD
from flyteform_controlplane.transport.methods import Service, methods_of
from flyteform_dataplane.catalog import DataCatalogClient, dataset_of, tag_of
from flyteform_dataplane.channel import open_channel
from flyteform_dataplane.ports import CacheKey, CacheSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import grpc.aio

    from flyteform.objects.ports import ObjectStore


def integer(value: int) -> literals_pb2.Literal:
    """Return an integer's literal."""
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(integer=value)))


def blob(uri: str) -> literals_pb2.Literal:
    """Return a file's literal."""
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(blob=literals_pb2.Blob(uri=uri)))


def literals(**values: literals_pb2.Literal) -> literals_pb2.LiteralMap:
    """Return a map of literals."""
    return literals_pb2.LiteralMap(literals=values)


def key(inputs: literals_pb2.LiteralMap, *ignored: str, version: str = "1") -> CacheKey:
    """Return the key of a task with an integer input and an integer output."""
    task = tasks_pb2.TaskTemplate(id=Identifier(project="p", domain="d", name="m.t", version="v1"))
    task.metadata.discovery_version = version
    task.interface.inputs.variables["x"].type.simple = types_pb2.INTEGER
    task.interface.outputs.variables["o0"].type.simple = types_pb2.INTEGER
    return CacheKey(task, inputs, ignored)


def source(name: str, attempt: int = 0) -> CacheSource:
    """Return who made a result."""
    return CacheSource(WorkflowExecutionIdentifier(project="p", domain="d", name=name), "n0", attempt)


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    """Return a store for what outputs refer to."""
    return open_store(f"file://{tmp_path}/objects")


@pytest.fixture
async def channel(tmp_path: Path, objects: ObjectStore) -> AsyncIterator[grpc.aio.Channel]:
    """Return a channel to the control plane's own catalog."""
    database = Database(f"sqlite:///{tmp_path}/control.db")
    await migrate(database)
    descriptor = messages.DESCRIPTOR.services_by_name["DataCatalog"]
    server = GrpcServer(methods_of([Service(descriptor, CatalogService(database, objects))], STANDARD))
    port = await server.start("127.0.0.1:0")
    async with open_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    await server.stop(0)
    await database.close()


@pytest.fixture
def catalog(channel: grpc.aio.Channel, objects: ObjectStore) -> DataCatalogClient:
    """Return a client of it."""
    return DataCatalogClient(channel, objects)


async def artifacts(channel: grpc.aio.Channel, wanted: CacheKey) -> int:
    """Return how many artifacts the task's dataset has."""
    stub = DataCatalogStub(channel)
    return len((await stub.ListArtifacts(messages.ListArtifactsRequest(dataset=dataset_of(wanted)))).artifacts)


def test_tags_are_those_of_flyte() -> None:
    """The hashes of two known inputs are the ones that FlytePropeller's own tests name."""
    assert tag_of(key(literals(**{"1": integer(1), "2": integer(2)}))) == (
        "flyte_cached-GQid5LjHbakcW68DS3P2jp80QLbiF0olFHF2hTh5bg8"
    )
    assert tag_of(key(literals())) == "flyte_cached-GKw-c0PwFokMUQ6T-TUmEWnZ4_VlQ2Qpgw-vCTT0-OQ"


def test_datasets_are_named_by_task_version_and_interface() -> None:
    """The hash of a task without inputs is the one that FlytePropeller's own tests name for an empty interface."""
    bare = key(literals())
    del bare.task.interface.inputs.variables["x"]
    dataset = dataset_of(bare)
    assert (dataset.project, dataset.domain, dataset.name) == ("p", "d", "flyte_task-m.t")
    version, inputs, outputs = dataset.version[0], dataset.version[2:10], dataset.version[11:]
    assert (version, inputs) == ("1", "GKw-c0Pw")
    assert len(outputs) == 8
    assert dataset_of(key(literals(), version="2")).version.startswith("2-")


@given(st.dictionaries(st.text(min_size=1), st.integers(-(2**60), 2**60), min_size=1), st.randoms())
def test_tags_depend_on_the_values_alone(values: dict[str, int], random: Any) -> None:
    """The order of the inputs changes nothing, any other value does, and ignored inputs don't count."""
    names = list(values)
    random.shuffle(names)
    tag = tag_of(key(literals(**{name: integer(value) for name, value in values.items()})))
    assert tag == tag_of(key(literals(**{name: integer(values[name]) for name in names})))
    changed = literals(**{name: integer(value) for name, value in values.items()})
    changed.literals[names[0]].CopyFrom(integer(values[names[0]] + 1))
    assert tag != tag_of(key(changed))
    rest = literals(**{name: integer(values[name]) for name in names[1:]})
    assert tag_of(key(changed, names[0])) == tag_of(key(rest))


def test_a_hash_that_comes_with_a_value_stands_for_it() -> None:
    """Values with the same hash are the same input, also inside collections and maps."""

    def hashed(value: int, digest: str) -> literals_pb2.Literal:
        literal = integer(value)
        literal.hash = digest
        return literal

    def nested(literal: literals_pb2.Literal) -> literals_pb2.LiteralMap:
        inner = literals_pb2.Literal(map=literals(k=literal))
        return literals(x=literals_pb2.Literal(collection=literals_pb2.LiteralCollection(literals=[inner])))

    assert tag_of(key(nested(hashed(1, "same")))) == tag_of(key(nested(hashed(2, "same"))))
    assert tag_of(key(nested(hashed(1, "same")))) != tag_of(key(nested(hashed(1, "other"))))


async def test_what_was_put_is_found_with_its_source(catalog: DataCatalogClient) -> None:
    """A miss, then the outputs and the execution that made them."""
    wanted = key(literals(x=integer(1)))
    assert await catalog.get(wanted) is None
    await catalog.put(wanted, literals(o0=integer(42)), source("e1", 3), overwrite=False)
    found = await catalog.get(wanted)
    assert found is not None
    assert found.outputs == literals(o0=integer(42))
    assert (found.source_project, found.source_domain, found.source_execution) == ("p", "d", "e1")
    assert (found.source_node, found.source_attempt) == ("n0", 3)
    assert (found.tag, found.dataset_name) == (tag_of(wanted), "flyte_task-m.t")
    assert await catalog.get(key(literals(x=integer(2)))) is None


async def test_putting_again_changes_nothing(catalog: DataCatalogClient, channel: grpc.aio.Channel) -> None:
    """A repetition after a lost answer makes no second artifact."""
    wanted = key(literals(x=integer(1)))
    once = await catalog.put(wanted, literals(o0=integer(1)), source("e1"), overwrite=False)
    assert await catalog.put(wanted, literals(o0=integer(1)), source("e1"), overwrite=False) == once
    assert await artifacts(channel, wanted) == 1


async def test_the_first_of_several_wins(catalog: DataCatalogClient) -> None:
    """All who put at the same time are told the same winner."""
    wanted = key(literals(x=integer(1)))
    put = [
        catalog.put(wanted, literals(o0=integer(number)), source(f"e{number}"), overwrite=False) for number in range(8)
    ]
    winners = {found.source_execution for found in await asyncio.gather(*put)}
    found = await catalog.get(wanted)
    assert found is not None
    assert winners == {found.source_execution}


@pytest.mark.parametrize("before", [True, False])
async def test_overwriting_replaces_what_is_there(catalog: DataCatalogClient, before: bool) -> None:
    """The last one wins, and there need not be a first."""
    wanted = key(literals(x=integer(1)))
    if before:
        await catalog.put(wanted, literals(o0=integer(1)), source("e1"), overwrite=False)
    await catalog.put(wanted, literals(o0=integer(2)), source("e2"), overwrite=True)
    found = await catalog.get(wanted)
    assert found is not None
    assert (found.outputs, found.source_execution) == (literals(o0=integer(2)), "e2")


@pytest.mark.parametrize("folder", [True, False])
async def test_a_hit_whose_data_is_gone_is_a_miss(
    catalog: DataCatalogClient, objects: ObjectStore, folder: bool
) -> None:
    """A file or a folder that outputs name must exist, and the next result takes the place of the dead one."""
    wanted, uri = key(literals(x=integer(1))), f"{objects.prefix}/raw/data"
    stored = f"{uri}/part-0" if folder else uri
    await objects.put(stored, b"data")
    nested = literals_pb2.Literal(collection=literals_pb2.LiteralCollection(literals=[blob(uri)]))
    await catalog.put(wanted, literals(o0=nested), source("e1"), overwrite=False)
    assert await catalog.get(wanted) is not None
    await objects.delete(stored)
    assert await catalog.get(wanted) is None
    kept = await catalog.put(wanted, literals(o0=integer(7)), source("e2"), overwrite=False)
    assert kept.source_execution == "e2"
    found = await catalog.get(wanted)
    assert found is not None
    assert found.outputs == literals(o0=integer(7))


async def test_data_in_other_stores_is_taken_to_exist(catalog: DataCatalogClient) -> None:
    """Only what this data plane's own store should have can be looked up."""
    wanted = key(literals(x=integer(1)))
    await catalog.put(wanted, literals(o0=blob("s3://elsewhere/file")), source("e1"), overwrite=False)
    assert await catalog.get(wanted) is not None


async def test_outputs_of_another_interface_are_a_miss(catalog: DataCatalogClient) -> None:
    """A result that lacks an output of the task is not used."""
    wanted = key(literals(x=integer(1)))
    await catalog.put(wanted, literals(other=integer(1)), source("e1"), overwrite=False)
    assert await catalog.get(wanted) is None


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    """Whatever goes wrong is one error that never says that the task failed."""
    wanted = key(literals(x=integer(1)))
    async with open_channel("127.0.0.1:1") as channel:
        catalog = DataCatalogClient(channel)
        with pytest.raises(UnavailableError):
            await catalog.get(wanted)
        with pytest.raises(UnavailableError):
            await catalog.put(wanted, literals(o0=integer(1)), source("e1"), overwrite=False)


async def test_large_outputs_come_back_whole(catalog: DataCatalogClient) -> None:
    """A value that the service keeps as an object is as good as a small one."""
    text = literals_pb2.Literal(
        scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(string_value="x" * 1_000_000))
    )
    wanted = key(literals(x=integer(1)))
    await catalog.put(wanted, literals(o0=text), source("e1"), overwrite=False)
    found = await catalog.get(wanted)
    assert found is not None
    assert found.outputs == literals(o0=text)


async def test_one_of_many_gets_the_right_to_compute(catalog: DataCatalogClient) -> None:
    """Of eight who ask at once one has the right, who has it extends it, and given back it is the next one's."""
    wanted, beat = key(literals(x=integer(1))), timedelta(seconds=5)
    owners = [f"e{number}/n/0" for number in range(8)]
    given = await asyncio.gather(*(catalog.reserve(wanted, owner, beat) for owner in owners))
    assert given.count(True) == 1
    holder = owners[given.index(True)]
    assert await catalog.reserve(wanted, holder, beat)
    await catalog.release(wanted, "nobody")
    assert not await catalog.reserve(wanted, "another", beat)
    await catalog.release(wanted, holder)
    await catalog.release(wanted, holder)
    assert await catalog.reserve(wanted, "another", beat)


async def test_a_right_that_is_not_extended_passes_on(catalog: DataCatalogClient) -> None:
    """After three heartbeats without a word another gets it."""
    wanted = key(literals(x=integer(1)))
    assert await catalog.reserve(wanted, "gone", timedelta(milliseconds=50))
    async with asyncio.timeout(20):
        while not await catalog.reserve(wanted, "next", timedelta(seconds=5)):  # noqa: ASYNC110 - the service's clock
            await asyncio.sleep(0.01)
    assert not await catalog.reserve(wanted, "gone", timedelta(seconds=5))
