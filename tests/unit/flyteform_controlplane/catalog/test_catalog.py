"""The data catalog's contract: codes, idempotence, filters, reservations, values of any size."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from flyteidl.core.literals_pb2 import Literal, Primitive, Scalar
from flyteidl.datacatalog import datacatalog_pb2 as messages

from flyteform.errors import NotFoundError
from flyteform.objects.local import LocalStore
from flyteform_controlplane.errors import (
    EntityExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    MissingEntityError,
)
from flyteform_controlplane.services.catalog import INLINE_BYTES, CatalogService
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

START = datetime(2024, 5, 1, tzinfo=UTC)
DATASET = messages.DatasetID(project="flytesnacks", domain="development", name="flyte_task-train", version="1-ab-cd")
CONTEXT = object()


class Catalog:
    """The service with a clock that the test sets, and shorter calls."""

    def __init__(self, database: Database, objects: LocalStore) -> None:
        self.time = START
        self.objects = objects
        self.service = CatalogService(database, objects, now=lambda: self.time)

    async def dataset(self, dataset: messages.DatasetID = DATASET, keys: tuple[str, ...] = ()) -> None:
        """Create a dataset."""
        message = messages.Dataset(id=dataset, partitionKeys=keys, metadata=messages.Metadata(key_map={"a": "b"}))
        await self.service.CreateDataset(messages.CreateDatasetRequest(dataset=message), CONTEXT)

    async def artifact(self, name: str, text: str = "value", **partitions: str) -> None:
        """Create an artifact."""
        message = messages.Artifact(
            id=name,
            dataset=DATASET,
            data=data(text),
            metadata=messages.Metadata(key_map={"execution-name": name}),
            partitions=[messages.Partition(key=key, value=value) for key, value in partitions.items()],
        )
        await self.service.CreateArtifact(messages.CreateArtifactRequest(artifact=message), CONTEXT)

    async def tag(self, name: str, artifact: str) -> None:
        """Tag an artifact."""
        tag = messages.Tag(name=name, artifact_id=artifact, dataset=DATASET)
        await self.service.AddTag(messages.AddTagRequest(tag=tag), CONTEXT)

    async def tagged(self, tag: str) -> messages.Artifact:
        """Look an artifact up as a data plane does."""
        request = messages.GetArtifactRequest(dataset=DATASET, tag_name=tag)
        return (await self.service.GetArtifact(request, CONTEXT)).artifact

    async def names(self, *filters: messages.SinglePropertyFilter) -> list[str]:
        """Return the ids of the artifacts that meet the filters, oldest first."""
        request = messages.ListArtifactsRequest(
            dataset=DATASET,
            filter=messages.FilterExpression(filters=filters),
            pagination=messages.PaginationOptions(sortOrder=messages.PaginationOptions.ASCENDING),
        )
        return [artifact.id for artifact in (await self.service.ListArtifacts(request, CONTEXT)).artifacts]

    async def reserve(self, owner: str, seconds: float | None = None) -> messages.Reservation:
        """Ask for a reservation."""
        key = messages.ReservationID(dataset_id=DATASET, tag_name="flyte_cached-x")
        request = messages.GetOrExtendReservationRequest(reservation_id=key, owner_id=owner)
        if seconds is not None:
            request.heartbeat_interval.FromTimedelta(timedelta(seconds=seconds))
        return (await self.service.GetOrExtendReservation(request, CONTEXT)).reservation

    async def release(self, owner: str) -> None:
        """Release it."""
        key = messages.ReservationID(dataset_id=DATASET, tag_name="flyte_cached-x")
        request = messages.ReleaseReservationRequest(reservation_id=key, owner_id=owner)
        await self.service.ReleaseReservation(request, CONTEXT)

    async def stored(self) -> list[str]:
        """Return the URIs of all objects."""
        return [info.uri async for info in self.objects.list(f"{self.objects.prefix}/")]


def data(text: str) -> list[messages.ArtifactData]:
    """Return a value named o0."""
    return [messages.ArtifactData(name="o0", value=Literal(scalar=Scalar(primitive=Primitive(string_value=text))))]


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    """Give a catalog on a database and objects of its own."""
    database = Database(f"sqlite:///{tmp_path}/control.db")
    await migrate(database)
    yield Catalog(database, LocalStore(f"file://{tmp_path}/objects"))
    await database.close()


async def test_a_result_is_found_by_its_tag(catalog: Catalog) -> None:
    """What a data plane writes, dataset, artifact and tag, another finds whole."""
    await catalog.dataset()
    await catalog.artifact("a1", "forty-two")
    await catalog.tag("flyte_cached-x", "a1")
    found = await catalog.tagged("flyte_cached-x")
    assert found.id == "a1"
    assert list(found.data) == data("forty-two")
    assert found.metadata.key_map == {"execution-name": "a1"}
    assert [tag.name for tag in found.tags] == ["flyte_cached-x"]
    assert found.created_at.ToDatetime(UTC) == START
    assert found.dataset.name == DATASET.name
    by_id = messages.GetArtifactRequest(artifact_id="a1")
    assert (await catalog.service.GetArtifact(by_id, CONTEXT)).artifact == found


async def test_creating_twice_is_already_exists_and_changes_nothing(catalog: Catalog) -> None:
    """Datasets, artifacts and tags are created once; the first stays as it was."""
    await catalog.dataset()
    await catalog.artifact("a1", "first")
    await catalog.tag("t", "a1")
    with pytest.raises(EntityExistsError):
        await catalog.dataset()
    with pytest.raises(EntityExistsError):
        await catalog.artifact("a1", "second")
    await catalog.artifact("a2", "third")
    with pytest.raises(EntityExistsError):
        await catalog.tag("t", "a2")
    with pytest.raises(EntityExistsError):
        await catalog.tag("t", "a1")
    assert list((await catalog.tagged("t")).data) == data("first")


async def test_of_many_at_once_one_wins(catalog: Catalog) -> None:
    """Concurrent creators get exactly one success, the others ALREADY_EXISTS."""
    await catalog.dataset()
    for number in range(5):
        await catalog.artifact(f"a{number}", str(number))
    results = await asyncio.gather(*(catalog.tag("t", f"a{number}") for number in range(5)), return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, EntityExistsError) for result in results) == 4
    created = await asyncio.gather(*(catalog.artifact("same") for _ in range(5)), return_exceptions=True)
    assert sum(result is None for result in created) == 1


async def test_what_is_missing_has_its_code(catalog: Catalog) -> None:
    """NOT_FOUND for what is asked for, FAILED_PRECONDITION for the dataset that an artifact goes to."""
    with pytest.raises(FailedPreconditionError):
        await catalog.artifact("a1")
    with pytest.raises(MissingEntityError):
        await catalog.tagged("t")
    with pytest.raises(MissingEntityError):
        await catalog.service.GetDataset(messages.GetDatasetRequest(dataset=DATASET), CONTEXT)
    await catalog.dataset()
    with pytest.raises(MissingEntityError):
        await catalog.tag("t", "a1")
    with pytest.raises(MissingEntityError):
        await catalog.tagged("t")
    update = messages.UpdateArtifactRequest(dataset=DATASET, tag_name="t", data=data("x"))
    with pytest.raises(MissingEntityError):
        await catalog.service.UpdateArtifact(update, CONTEXT)


async def test_datasets_keep_what_they_were_made_of(catalog: Catalog) -> None:
    """Metadata and the order of partition keys come back, with a UUID."""
    await catalog.dataset(keys=("region", "day"))
    found = (await catalog.service.GetDataset(messages.GetDatasetRequest(dataset=DATASET), CONTEXT)).dataset
    assert list(found.partitionKeys) == ["region", "day"]
    assert found.metadata.key_map == {"a": "b"}
    assert len(found.id.UUID) == 36


@pytest.mark.parametrize("partitions", [{}, {"region": "eu"}, {"region": "eu", "day": "1", "more": "x"}])
async def test_partitions_must_be_those_of_the_dataset(catalog: Catalog, partitions: dict[str, str]) -> None:
    """Each key of the dataset once, and no other; else INVALID_ARGUMENT."""
    await catalog.dataset(keys=("region", "day"))
    with pytest.raises(InvalidArgumentError, match="partitions"):
        await catalog.artifact("a1", **partitions)
    await catalog.artifact("a1", region="eu", day="1")


async def test_artifacts_are_listed_by_partition_tag_and_id(catalog: Catalog) -> None:
    """Filters restrict together; the data comes along."""
    await catalog.dataset(keys=("region", "day"))
    await catalog.artifact("a1", region="eu", day="1")
    await catalog.artifact("a2", region="eu", day="2")
    await catalog.artifact("a3", region="us", day="2")
    await catalog.tag("t", "a2")

    def partition(key: str, value: str) -> messages.SinglePropertyFilter:
        pair = messages.KeyValuePair(key=key, value=value)
        return messages.SinglePropertyFilter(partition_filter=messages.PartitionPropertyFilter(key_val=pair))

    tag = messages.SinglePropertyFilter(tag_filter=messages.TagPropertyFilter(tag_name="t"))
    named = messages.SinglePropertyFilter(artifact_filter=messages.ArtifactPropertyFilter(artifact_id="a3"))
    assert await catalog.names() == ["a1", "a2", "a3"]
    assert await catalog.names(partition("region", "eu")) == ["a1", "a2"]
    assert await catalog.names(partition("region", "eu"), partition("day", "2")) == ["a2"]
    assert await catalog.names(tag) == ["a2"]
    assert await catalog.names(named) == ["a3"]
    assert await catalog.names(tag, named) == []
    dataset_filter = messages.SinglePropertyFilter(dataset_filter=messages.DatasetPropertyFilter(name="x"))
    with pytest.raises(InvalidArgumentError):
        await catalog.names(dataset_filter)


async def test_lists_come_in_pages(catalog: Catalog) -> None:
    """Newest first unless asked otherwise; the token leads on until the end."""
    for number in range(5):
        await catalog.dataset(messages.DatasetID(project="p", domain=f"d{number % 2}", name=f"n{number}", version="v"))
    names, token = [], ""
    while True:
        options = messages.PaginationOptions(limit=2, token=token)
        request = messages.ListDatasetsRequest(pagination=options)
        page = await catalog.service.ListDatasets(request, CONTEXT)
        names += [dataset.id.name for dataset in page.datasets]
        token = page.next_token
        if not token:
            break
    assert names == ["n4", "n3", "n2", "n1", "n0"]
    only = messages.SinglePropertyFilter(dataset_filter=messages.DatasetPropertyFilter(domain="d1"))
    request = messages.ListDatasetsRequest(filter=messages.FilterExpression(filters=[only]))
    found = (await catalog.service.ListDatasets(request, CONTEXT)).datasets
    assert [dataset.id.name for dataset in found] == ["n3", "n1"]
    bad = messages.ListDatasetsRequest(pagination=messages.PaginationOptions(token="x"))  # noqa: S106 - no secret
    with pytest.raises(InvalidArgumentError, match="token"):
        await catalog.service.ListDatasets(bad, CONTEXT)


async def test_an_overwritten_result_is_the_new_one(catalog: Catalog) -> None:
    """An update replaces data and metadata, renews the age, and keeps id and tag."""
    await catalog.dataset()
    await catalog.artifact("a1", "old")
    await catalog.tag("t", "a1")
    catalog.time += timedelta(hours=1)
    changed = messages.Metadata(key_map={"execution-name": "again"})
    request = messages.UpdateArtifactRequest(dataset=DATASET, tag_name="t", data=data("new"), metadata=changed)
    assert (await catalog.service.UpdateArtifact(request, CONTEXT)).artifact_id == "a1"
    found = await catalog.tagged("t")
    assert list(found.data) == data("new")
    assert found.metadata == changed
    assert found.created_at.ToDatetime(UTC) == catalog.time


async def test_large_values_are_objects_and_are_cleaned_up(catalog: Catalog) -> None:
    """A large literal comes back whole; a refused or replaced one leaves no object behind."""
    large = "x" * (INLINE_BYTES + 1)
    await catalog.dataset()
    await catalog.artifact("a1", large)
    await catalog.tag("t", "a1")
    assert list((await catalog.tagged("t")).data) == data(large)
    first = await catalog.stored()
    assert len(first) == 1
    with pytest.raises(EntityExistsError):
        await catalog.artifact("a1", large)
    assert await catalog.stored() == first
    larger = large + "y"
    request = messages.UpdateArtifactRequest(dataset=DATASET, tag_name="t", data=data(larger))
    await catalog.service.UpdateArtifact(request, CONTEXT)
    assert list((await catalog.tagged("t")).data) == data(larger)
    second = await catalog.stored()
    assert len(second) == 1
    assert second != first


async def test_a_result_whose_data_is_gone_is_not_found(catalog: Catalog) -> None:
    """A lost object makes a miss, which is computed again, not an internal error."""
    await catalog.dataset()
    await catalog.artifact("a1", "x" * (INLINE_BYTES + 1))
    await catalog.tag("t", "a1")
    (uri,) = await catalog.stored()
    await catalog.objects.delete(uri)
    with pytest.raises(NotFoundError):
        await catalog.objects.get(uri)
    with pytest.raises(MissingEntityError, match="gone"):
        await catalog.tagged("t")


async def test_incomplete_requests_say_what_is_missing(catalog: Catalog) -> None:
    """INVALID_ARGUMENT names the field."""
    service = catalog.service
    with pytest.raises(InvalidArgumentError, match="dataset project"):
        await service.CreateDataset(messages.CreateDatasetRequest(), CONTEXT)
    with pytest.raises(InvalidArgumentError, match="unique"):
        await catalog.dataset(keys=("a", "a"))
    with pytest.raises(InvalidArgumentError, match="artifact_id or tag_name"):
        await service.GetArtifact(messages.GetArtifactRequest(dataset=DATASET), CONTEXT)
    with pytest.raises(InvalidArgumentError, match="dataset project"):
        await service.GetArtifact(messages.GetArtifactRequest(tag_name="t"), CONTEXT)
    with pytest.raises(InvalidArgumentError, match="artifact data"):
        await service.UpdateArtifact(messages.UpdateArtifactRequest(artifact_id="a"), CONTEXT)
    empty = messages.Artifact(id="a", dataset=DATASET)
    with pytest.raises(InvalidArgumentError, match="artifact data"):
        await service.CreateArtifact(messages.CreateArtifactRequest(artifact=empty), CONTEXT)
    with pytest.raises(InvalidArgumentError, match="tag name"):
        await catalog.tag("", "a1")
    with pytest.raises(InvalidArgumentError, match="owner_id"):
        await catalog.reserve("")


async def test_a_reservation_belongs_to_its_owner_until_it_expires(catalog: Catalog) -> None:
    """Others are told the owner while it lives; after three missed heartbeats one of them takes over."""
    first = await catalog.reserve("one", 5)
    assert first.owner_id == "one"
    assert first.expires_at.ToDatetime(UTC) == START + timedelta(seconds=15)
    catalog.time += timedelta(seconds=14)
    other = await catalog.reserve("two", 5)
    assert (other.owner_id, other.expires_at) == ("one", first.expires_at)
    extended = await catalog.reserve("one", 5)
    assert extended.expires_at.ToDatetime(UTC) == catalog.time + timedelta(seconds=15)
    catalog.time += timedelta(seconds=15)
    assert (await catalog.reserve("two", 5)).owner_id == "two"
    assert (await catalog.reserve("one", 5)).owner_id == "two"


@pytest.mark.parametrize(("asked", "given"), [(None, 10), (3600, 10), (4, 4), (0, 10), (-1, 10)])
async def test_the_heartbeat_is_ten_seconds_at_most(catalog: Catalog, asked: float | None, given: float) -> None:
    """A shorter one is the owner's choice; none means the longest."""
    held = await catalog.reserve("one", asked)
    assert held.heartbeat_interval.ToTimedelta() == timedelta(seconds=given)
    assert held.expires_at.ToDatetime(UTC) == START + timedelta(seconds=3 * given)


async def test_only_the_owner_releases(catalog: Catalog) -> None:
    """A release by another, or of nothing, is accepted and changes nothing."""
    await catalog.release("one")
    await catalog.reserve("one")
    await catalog.release("two")
    assert (await catalog.reserve("two")).owner_id == "one"
    await catalog.release("one")
    assert (await catalog.reserve("two")).owner_id == "two"


async def test_of_many_askers_one_gets_the_reservation(catalog: Catalog) -> None:
    """All are told the same owner."""
    held = await asyncio.gather(*(catalog.reserve(f"owner-{number}") for number in range(8)))
    assert len({reservation.owner_id for reservation in held}) == 1
