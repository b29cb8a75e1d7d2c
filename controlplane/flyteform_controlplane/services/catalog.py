"""The DataCatalog service: results of tasks by their cache keys (contract 1.9)."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from flyteidl.core.literals_pb2 import Literal
from flyteidl.datacatalog import datacatalog_pb2 as messages
from flyteidl.datacatalog import datacatalog_pb2_grpc

from flyteform.errors import FlyteformError, NotFoundError
from flyteform.objects.references import URI, collect_texts
from flyteform_controlplane.domain.locations import join
from flyteform_controlplane.domain.principals import cluster_of
from flyteform_controlplane.domain.stored import decoded
from flyteform_controlplane.domain.times import now as present
from flyteform_controlplane.domain.times import to_timestamp
from flyteform_controlplane.errors import FailedPreconditionError, InvalidArgumentError, MissingEntityError
from flyteform_controlplane.services import catalog_requests as requests
from flyteform_controlplane.services.reservations import Reservations
from flyteform_controlplane.store.sql import catalog as store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform.objects.ports import ObjectStore
    from flyteform_controlplane.store.database import Database

# Larger literals are objects, so that rows stay small.
INLINE_BYTES: Final = 64 * 1024


class CatalogService(datacatalog_pb2_grpc.DataCatalogServicer):
    """Serves `datacatalog.DataCatalog`."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        *,
        unreadable: Callable[[Collection[str], str], Awaitable[str | None]] | None = None,
        now: Callable[[], datetime] = present,
    ) -> None:
        self._database = database
        self._objects = objects
        # Says which of the objects that URIs name a cluster cannot read.
        self._unreadable = unreadable
        self._now = now
        self._reservations = Reservations(database, now)

    async def CreateDataset(
        self, request: messages.CreateDatasetRequest, _context: object
    ) -> messages.CreateDatasetResponse:
        """Create a dataset: all results of one version of a task."""
        requests.check_dataset(request.dataset)
        async with self._database.transaction() as tx:
            await store.add_dataset(tx, request.dataset, self._now())
        return messages.CreateDatasetResponse()

    async def GetDataset(self, request: messages.GetDatasetRequest, _context: object) -> messages.GetDatasetResponse:
        """Return a dataset."""
        requests.check_dataset_id(request.dataset)
        async with self._database.reading() as tx:
            return messages.GetDatasetResponse(dataset=(await _dataset(tx, request.dataset)).message)

    async def ListDatasets(
        self, request: messages.ListDatasetsRequest, _context: object
    ) -> messages.ListDatasetsResponse:
        """Return a page of the datasets with given parts of their identifiers."""
        equal, page = requests.dataset_filters(request.filter), requests.page(request.pagination)
        async with self._database.reading() as tx:
            found = await store.list_datasets(tx, equal, page)
        return messages.ListDatasetsResponse(datasets=found, next_token=requests.next_token(page, len(found)))

    async def CreateArtifact(
        self, request: messages.CreateArtifactRequest, _context: object
    ) -> messages.CreateArtifactResponse:
        """Create an artifact, a result, in a dataset."""
        artifact = request.artifact
        requests.check_artifact(artifact)
        data = await self._store(artifact.dataset, artifact.id, artifact.data)
        try:
            async with self._database.transaction() as tx:
                dataset = await _dataset_of(tx, artifact)
                requests.check_partitions(dataset.message, artifact)
                await store.add_artifact(tx, dataset, artifact, data, self._now())
        except BaseException:
            await self._discard(data)
            raise
        return messages.CreateArtifactResponse()

    async def GetArtifact(self, request: messages.GetArtifactRequest, context: object) -> messages.GetArtifactResponse:
        """Return an artifact with its data, by id or tag.

        To a data plane whose cluster cannot read what the data names it is not there: it makes it anew.
        """
        requests.check_query(request)
        async with self._database.reading() as tx:
            found = await _artifact(tx, request)
        artifact = await self._whole(found)
        await self._check_readable(artifact, cluster_of(context))
        return messages.GetArtifactResponse(artifact=artifact)

    async def ListArtifacts(
        self, request: messages.ListArtifactsRequest, _context: object
    ) -> messages.ListArtifactsResponse:
        """Return a page of a dataset's artifacts with given tags and partitions, with their data."""
        requests.check_dataset_id(request.dataset)
        where, page = requests.artifact_filters(request.filter), requests.page(request.pagination)
        async with self._database.reading() as tx:
            found = await store.list_artifacts(tx, await _dataset(tx, request.dataset), where, page)
        artifacts = [await self._whole(each) for each in found]
        return messages.ListArtifactsResponse(artifacts=artifacts, next_token=requests.next_token(page, len(artifacts)))

    async def UpdateArtifact(
        self, request: messages.UpdateArtifactRequest, _context: object
    ) -> messages.UpdateArtifactResponse:
        """Give an artifact new data in place of its own: an overwritten cache entry."""
        requests.check_query(request)
        requests.check_data(request.data)
        async with self._database.reading() as tx:
            found = await _artifact(tx, request)
        data = await self._store(found.message.dataset, found.message.id, request.data)
        metadata = request.metadata if request.HasField("metadata") else None
        try:
            async with self._database.transaction() as tx:
                # Once more: another update may have changed where the former data is.
                found = await _artifact(tx, request)
                await store.replace_artifact(tx, found, data, metadata, self._now())
        except BaseException:
            await self._discard(data)
            raise
        await self._discard(found.data)
        return messages.UpdateArtifactResponse(artifact_id=found.message.id)

    async def AddTag(self, request: messages.AddTagRequest, _context: object) -> messages.AddTagResponse:
        """Give an artifact a name that is unique in its dataset."""
        tag = request.tag
        requests.check_tag(tag)
        async with self._database.transaction() as tx:
            dataset = await _dataset(tx, tag.dataset)
            artifact = await store.find_artifact(tx, dataset, tag.artifact_id)
            if artifact is None:
                raise MissingEntityError(f"missing artifact {tag.artifact_id!r}")
            await store.add_tag(tx, dataset, tag.name, artifact, self._now())
        return messages.AddTagResponse()

    async def GetOrExtendReservation(
        self, request: messages.GetOrExtendReservationRequest, _context: object
    ) -> messages.GetOrExtendReservationResponse:
        """Reserve the right to compute an entry; the answer's owner says who has it."""
        key = _reservation_key(request.reservation_id)
        held = await self._reservations.hold(key, request.owner_id, request.heartbeat_interval)
        reservation = messages.Reservation(
            reservation_id=request.reservation_id,
            owner_id=held.owner_id,
            expires_at=to_timestamp(held.expires_at),
        )
        reservation.heartbeat_interval.FromTimedelta(held.heartbeat)
        return messages.GetOrExtendReservationResponse(reservation=reservation)

    async def ReleaseReservation(
        self, request: messages.ReleaseReservationRequest, _context: object
    ) -> messages.ReleaseReservationResponse:
        """Release a reservation; one that has expired or is another's needs no release."""
        await self._reservations.release(_reservation_key(request.reservation_id), request.owner_id)
        return messages.ReleaseReservationResponse()

    async def _store(
        self, dataset: messages.DatasetID, artifact_id: str, data: Iterable[messages.ArtifactData]
    ) -> list[store.StoredData]:
        """Write large values as objects under names of their own: what readers have found stays as it is."""
        stored: list[store.StoredData] = []
        parts = (dataset.project, dataset.domain, dataset.name, dataset.version, artifact_id)
        for item in data:
            value = item.value.SerializeToString(deterministic=True)
            if len(value) <= INLINE_BYTES:
                stored.append(store.StoredData(item.name, value, None))
                continue
            location = join(self._objects.prefix, "metadata", "datacatalog", *parts, f"{item.name}-{uuid.uuid4().hex}")
            await self._objects.put(location, value)
            stored.append(store.StoredData(item.name, None, location))
        return stored

    async def _discard(self, data: Sequence[store.StoredData]) -> None:
        """Remove objects that no row names; one that stays costs its size only."""
        for item in data:
            if item.location is not None:
                with suppress(FlyteformError):
                    await self._objects.delete(item.location)

    async def _whole(self, found: store.ArtifactRow) -> messages.Artifact:
        for item in found.data:
            value = item.value
            if value is None:
                value = await self._read(found, item.location or "")
            found.message.data.append(
                messages.ArtifactData(name=item.name, value=decoded(Literal, value, item.location or "in the database"))
            )
        return found.message

    async def _check_readable(self, artifact: messages.Artifact, cluster: str) -> None:
        if not cluster or self._unreadable is None:
            return
        uris = collect_texts(artifact, URI)
        if uris and await self._unreadable(uris, cluster) is not None:
            raise MissingEntityError(f"the data of artifact {artifact.id!r} lies where {cluster!r} cannot read it")

    async def _read(self, found: store.ArtifactRow, location: str) -> bytes:
        try:
            return await self._objects.get(location)
        except NotFoundError as error:
            # For who looks for a cached result it is as good as not there.
            raise MissingEntityError(f"the data of artifact {found.message.id!r} is gone") from error


async def _dataset(tx: AsyncConnection, key: messages.DatasetID) -> store.DatasetRow:
    found = await store.find_dataset(tx, key)
    if found is None:
        raise MissingEntityError(f"missing dataset {key.project}/{key.domain}/{key.name}/{key.version}")
    return found


async def _dataset_of(tx: AsyncConnection, artifact: messages.Artifact) -> store.DatasetRow:
    """Find where the artifact is to go; that it is missing is no fault of what is asked for, so another code."""
    found = await store.find_dataset(tx, artifact.dataset)
    if found is None:
        raise FailedPreconditionError(f"the dataset of artifact {artifact.id!r} does not exist")
    return found


async def _artifact(
    tx: AsyncConnection, request: messages.GetArtifactRequest | messages.UpdateArtifactRequest
) -> store.ArtifactRow:
    """Find what the request names; an id needs no dataset, a tag does."""
    dataset = await _dataset(tx, request.dataset) if request.HasField("dataset") else None
    if request.WhichOneof("query_handle") == "tag_name":
        found = None if dataset is None else await store.find_tagged(tx, dataset, request.tag_name)
    else:
        found = await store.find_artifact(tx, dataset, request.artifact_id)
    if found is None:
        raise MissingEntityError(f"missing artifact {request.artifact_id or request.tag_name!r}")
    return found


def _reservation_key(key: messages.ReservationID) -> str:
    requests.check_dataset_id(key.dataset_id)
    if not key.tag_name:
        raise InvalidArgumentError("missing tag_name")
    dataset = key.dataset_id
    names = ["datacatalog", dataset.org, dataset.project, dataset.domain, dataset.name, dataset.version, key.tag_name]
    return json.dumps(names)
