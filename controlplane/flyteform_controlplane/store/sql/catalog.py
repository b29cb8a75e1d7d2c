"""Datasets, artifacts, tags and reservations in SQL; every function works within the caller's transaction."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteidl.datacatalog.datacatalog_pb2 import Artifact, Dataset, DatasetID, Metadata, Partition, Tag
from sqlalchemy import ColumnElement, RowMapping, and_, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from flyteform_controlplane.domain.times import to_timestamp
from flyteform_controlplane.errors import EntityExistsError
from flyteform_controlplane.store.tables_duties import (
    artifact_data,
    artifacts,
    datasets,
    partitions,
    reservations,
    tags,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

DATASET_KEY = ("project", "domain", "name", "version", "org")


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A dataset and its row's number."""

    id: int
    message: Dataset


@dataclass(frozen=True, slots=True)
class StoredData:
    """One of an artifact's values: serialized, or the URI of the object that has it."""

    name: str
    value: bytes | None
    location: str | None


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """An artifact without its values, its row's number, and where its values are."""

    id: int
    message: Artifact
    data: tuple[StoredData, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows of a list, by time of creation."""

    limit: int
    offset: int
    ascending: bool


def _dataset(row: RowMapping) -> DatasetRow:
    key = DatasetID(**{name: row[name] for name in DATASET_KEY}, UUID=row["uuid"])
    message = Dataset(
        id=key, metadata=Metadata.FromString(row["metadata"]), partitionKeys=json.loads(row["partition_keys"])
    )
    return DatasetRow(row["id"], message)


async def add_dataset(tx: AsyncConnection, dataset: Dataset, at: datetime) -> None:
    """Insert it; `EntityExistsError` if there is one with that identifier."""
    key = {name: getattr(dataset.id, name) for name in DATASET_KEY}
    values = {
        "uuid": str(uuid.uuid4()),
        "metadata": dataset.metadata.SerializeToString(),
        "partition_keys": json.dumps(list(dataset.partitionKeys)),
        "created_at": at,
        "updated_at": at,
    }
    try:
        await tx.execute(insert(datasets).values(**key, **values))
    except IntegrityError as error:
        raise EntityExistsError(f"dataset {_names(dataset.id)} already exists") from error


async def find_dataset(tx: AsyncConnection, key: DatasetID) -> DatasetRow | None:
    """Return the dataset with that identifier."""
    same = and_(*(datasets.c[name] == getattr(key, name) for name in DATASET_KEY))
    row = (await tx.execute(select(datasets).where(same))).mappings().first()
    return None if row is None else _dataset(row)


async def list_datasets(tx: AsyncConnection, equal: dict[str, str], page: Page) -> list[Dataset]:
    """Return a page of the datasets whose identifiers have these parts."""
    where = [datasets.c[name] == value for name, value in equal.items()]
    order = datasets.c.id.asc() if page.ascending else datasets.c.id.desc()
    statement = select(datasets).where(*where).order_by(order).limit(page.limit).offset(page.offset)
    return [_dataset(row).message for row in (await tx.execute(statement)).mappings()]


async def add_artifact(
    tx: AsyncConnection, dataset: DatasetRow, artifact: Artifact, data: Sequence[StoredData], at: datetime
) -> None:
    """Insert it with its values and partitions; `EntityExistsError` if the dataset has one with that id."""
    values = {"artifact_id": artifact.id, "metadata": artifact.metadata.SerializeToString()}
    statement = insert(artifacts).values(dataset_id=dataset.id, **values, created_at=at, updated_at=at)
    try:
        row_id = (await tx.execute(statement.returning(artifacts.c.id))).scalar_one()
    except IntegrityError as error:
        raise EntityExistsError(f"artifact {artifact.id!r} already exists in {_names(artifact.dataset)}") from error
    await _write_data(tx, row_id, data)
    if artifact.partitions:
        rows = [{"artifact": row_id, "key": part.key, "value": part.value} for part in artifact.partitions]
        await tx.execute(insert(partitions), rows)


async def replace_artifact(
    tx: AsyncConnection, artifact: ArtifactRow, data: Sequence[StoredData], metadata: Metadata | None, at: datetime
) -> None:
    """Give it these values in place of its own; its age is that of its values."""
    changed: dict[str, object] = {"created_at": at, "updated_at": at}
    if metadata is not None:
        changed["metadata"] = metadata.SerializeToString()
    await tx.execute(update(artifacts).where(artifacts.c.id == artifact.id).values(**changed))
    await tx.execute(delete(artifact_data).where(artifact_data.c.artifact == artifact.id))
    await _write_data(tx, artifact.id, data)


async def _write_data(tx: AsyncConnection, row_id: int, data: Sequence[StoredData]) -> None:
    rows = [
        {"artifact": row_id, "position": position, "name": item.name, "value": item.value, "location": item.location}
        for position, item in enumerate(data)
    ]
    await tx.execute(insert(artifact_data), rows)


async def find_artifact(tx: AsyncConnection, dataset: DatasetRow | None, artifact_id: str) -> ArtifactRow | None:
    """Return the artifact with that id, of the dataset, or of any if that is None."""
    where = [artifacts.c.artifact_id == artifact_id]
    if dataset is not None:
        where.append(artifacts.c.dataset_id == dataset.id)
    found = await _load(tx, where, Page(limit=1, offset=0, ascending=True))
    return found[0] if found else None


async def find_tagged(tx: AsyncConnection, dataset: DatasetRow, tag: str) -> ArtifactRow | None:
    """Return the artifact that has the tag."""
    found = await list_artifacts(tx, dataset, [tagged(tag)], Page(limit=1, offset=0, ascending=True))
    return found[0] if found else None


def tagged(tag: str) -> ColumnElement[bool]:
    """Return the condition that an artifact has the tag."""
    return exists().where(tags.c.artifact == artifacts.c.id, tags.c.name == tag)


def partitioned(key: str, value: str) -> ColumnElement[bool]:
    """Return the condition that an artifact is of that partition."""
    same = (partitions.c.key == key, partitions.c.value == value)
    return exists().where(partitions.c.artifact == artifacts.c.id, *same)


def named(artifact_id: str) -> ColumnElement[bool]:
    """Return the condition that an artifact has that id."""
    return artifacts.c.artifact_id == artifact_id


async def list_artifacts(
    tx: AsyncConnection, dataset: DatasetRow, where: Sequence[ColumnElement[bool]], page: Page
) -> list[ArtifactRow]:
    """Return a page of the dataset's artifacts that meet all conditions."""
    return await _load(tx, [artifacts.c.dataset_id == dataset.id, *where], page)


async def _load(tx: AsyncConnection, where: Sequence[ColumnElement[bool]], page: Page) -> list[ArtifactRow]:
    order = artifacts.c.id.asc() if page.ascending else artifacts.c.id.desc()
    statement = select(artifacts).where(*where).order_by(order).limit(page.limit).offset(page.offset)
    return [await _artifact(tx, row) for row in (await tx.execute(statement)).mappings().all()]


async def _artifact(tx: AsyncConnection, row: RowMapping) -> ArtifactRow:
    dataset_row = (await tx.execute(select(datasets).where(datasets.c.id == row["dataset_id"]))).mappings().one()
    dataset = _dataset(dataset_row).message.id
    message = Artifact(
        id=row["artifact_id"],
        dataset=dataset,
        metadata=Metadata.FromString(row["metadata"]),
        created_at=to_timestamp(row["created_at"]),
    )
    for part in await tx.execute(select(partitions).where(partitions.c.artifact == row["id"])):
        message.partitions.append(Partition(key=part.key, value=part.value))
    for name in (await tx.execute(select(tags.c.name).where(tags.c.artifact == row["id"]))).scalars():
        message.tags.append(Tag(name=name, artifact_id=row["artifact_id"], dataset=dataset))
    ordered = select(artifact_data).where(artifact_data.c.artifact == row["id"]).order_by(artifact_data.c.position)
    data = tuple(StoredData(item.name, item.value, item.location) for item in await tx.execute(ordered))
    return ArtifactRow(row["id"], message, data)


async def add_tag(tx: AsyncConnection, dataset: DatasetRow, name: str, artifact: ArtifactRow, at: datetime) -> None:
    """Tag the artifact; `EntityExistsError` if the tag is given in this dataset."""
    try:
        await tx.execute(
            insert(tags).values(dataset_id=dataset.id, name=name, artifact=artifact.id, created_at=at, updated_at=at)
        )
    except IntegrityError as error:
        raise EntityExistsError(f"tag {name!r} already exists in {_names(dataset.message.id)}") from error


async def reserve(
    tx: AsyncConnection, key: str, owner: str, expires_at: datetime, at: datetime
) -> tuple[str, datetime]:
    """Take or extend the reservation unless another owner's is alive; return whose it is and until when.

    `EntityExistsError` if another transaction took it at the same moment: then this one is to be repeated.
    """
    found = (await tx.execute(select(reservations).where(reservations.c.key == key).with_for_update())).first()
    values = {"owner_id": owner, "expires_at": expires_at, "updated_at": at}
    if found is None:
        try:
            await tx.execute(insert(reservations).values(key=key, created_at=at, **values))
        except IntegrityError as error:
            raise EntityExistsError("the reservation was taken at the same moment") from error
    elif found.owner_id == owner or found.expires_at <= at:
        await tx.execute(update(reservations).where(reservations.c.key == key).values(**values))
    else:
        return found.owner_id, found.expires_at
    return owner, expires_at


async def release(tx: AsyncConnection, key: str, owner: str) -> None:
    """Give the reservation up, if it is the owner's."""
    await tx.execute(delete(reservations).where(reservations.c.key == key, reservations.c.owner_id == owner))


def _names(key: DatasetID) -> str:
    return "/".join(filter(None, (key.org, key.project, key.domain, key.name, key.version)))
