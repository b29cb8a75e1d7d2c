"""Results of tasks that were computed before, found and kept through the DataCatalog service.

Datasets, tags and metadata are named as FlytePropeller names them, so that both find each other's results.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import uuid
from typing import TYPE_CHECKING, TypeVar

import grpc
import grpc.aio
from flyteidl.core import literals_pb2
from flyteidl.core.interface_pb2 import VariableMap
from flyteidl.datacatalog import datacatalog_pb2 as messages
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from flyteform.errors import FlyteformError, UnavailableError
from flyteform.objects.ports import any_below
from flyteform_dataplane.ports import CachedOutputs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from flyteform.objects.ports import ObjectStore
    from flyteform_dataplane.ports import CacheKey, CacheSource

Answer = TypeVar("Answer", bound=Message)

logger = logging.getLogger(__name__)

_NOT_FOUND, _EXISTS = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS
_TIMEOUT = 10.0  # seconds for one call
_INTERFACE_HASH_LENGTH = 8
_HALF = 0.5
_EXECUTION, _PROJECT, _DOMAIN, _NODE, _ATTEMPT = (
    "execution-name",
    "exec-project",
    "exec-domain",
    "exec-node",
    "exec-attempt",
)


class DataCatalogClient:
    """The cache of task results. `objects` tells whether the data of a hit still exists.

    `cluster` is whom the results are for: what its tasks could not read is a miss.
    """

    def __init__(self, channel: grpc.aio.Channel, objects: ObjectStore | None = None, cluster: str = "") -> None:
        self._channel = channel
        self._metadata = grpc.aio.Metadata(("flyteform-cluster", cluster)) if cluster else None
        self._objects = objects

    async def get(self, key: CacheKey) -> CachedOutputs | None:
        """Return the cached outputs, or None for a miss: also when data that they name is gone."""
        artifact = await self._find(key)
        if artifact is None:
            return None
        found = _cached(artifact, dataset_of(key), tag_of(key))
        if set(found.outputs.literals) != set(key.task.interface.outputs.variables):
            return None
        if not await self._exists(found.outputs):
            logger.info("the cached result %s names data that is gone: a miss", found.artifact_id)
            return None
        return found

    async def put(
        self,
        key: CacheKey,
        outputs: literals_pb2.LiteralMap,
        source: CacheSource,
        *,
        overwrite: bool,
    ) -> CachedOutputs:
        """Store the outputs. The first of several wins, unless `overwrite` is asked for or its data is gone."""
        dataset, tag = dataset_of(key), tag_of(key)
        data = [messages.ArtifactData(name=name, value=value) for name, value in sorted(outputs.literals.items())]
        artifact = messages.Artifact(
            id=_artifact_id(dataset, tag, source),
            dataset=dataset,
            data=data,
            metadata=messages.Metadata(key_map=_describe(source)),
        )
        if overwrite and await self._replace(artifact, tag):
            return _cached(artifact, dataset, tag)
        await self._create(key, artifact)
        if await self._tag(artifact, tag):
            return _cached(artifact, dataset, tag)
        first = await self.get(key)
        if first is not None and not overwrite:
            return first
        await self._replace(artifact, tag)
        return _cached(artifact, dataset, tag)

    async def reserve(self, key: CacheKey, owner: str, heartbeat: timedelta) -> bool:
        """Take or extend the right to compute the outputs; False while another owner has it."""
        request = messages.GetOrExtendReservationRequest(reservation_id=_reservation(key), owner_id=owner)
        request.heartbeat_interval.FromTimedelta(heartbeat)
        answer = await self._call("GetOrExtendReservation", request, messages.GetOrExtendReservationResponse)
        return answer is not None and answer.reservation.owner_id == owner

    async def release(self, key: CacheKey, owner: str) -> None:
        """Give the right back; no error if the owner has it not."""
        request = messages.ReleaseReservationRequest(reservation_id=_reservation(key), owner_id=owner)
        await self._call("ReleaseReservation", request, messages.ReleaseReservationResponse, _NOT_FOUND)

    async def _find(self, key: CacheKey) -> messages.Artifact | None:
        request = messages.GetArtifactRequest(dataset=dataset_of(key), tag_name=tag_of(key))
        answer = await self._call("GetArtifact", request, messages.GetArtifactResponse, _NOT_FOUND)
        return None if answer is None else answer.artifact

    async def _create(self, key: CacheKey, artifact: messages.Artifact) -> None:
        dataset = messages.Dataset(
            id=artifact.dataset, metadata=messages.Metadata(key_map={"task-version": key.task.id.version})
        )
        wanted = messages.CreateDatasetRequest(dataset=dataset)
        await self._call("CreateDataset", wanted, messages.CreateDatasetResponse, _EXISTS)
        request = messages.CreateArtifactRequest(artifact=artifact)
        await self._call("CreateArtifact", request, messages.CreateArtifactResponse, _EXISTS)

    async def _tag(self, artifact: messages.Artifact, name: str) -> bool:
        """Give the artifact its tag; return False if another has it."""
        tag = messages.Tag(name=name, artifact_id=artifact.id, dataset=artifact.dataset)
        return await self._call("AddTag", messages.AddTagRequest(tag=tag), messages.AddTagResponse, _EXISTS) is not None

    async def _replace(self, artifact: messages.Artifact, tag: str) -> bool:
        """Put the data in the place of what has the tag; return False if nothing has it."""
        request = messages.UpdateArtifactRequest(
            dataset=artifact.dataset, tag_name=tag, data=artifact.data, metadata=artifact.metadata
        )
        answer = await self._call("UpdateArtifact", request, messages.UpdateArtifactResponse, _NOT_FOUND)
        if answer is None:
            return False
        artifact.id = answer.artifact_id
        return True

    async def _call(
        self, method: str, request: Message, response: type[Answer], expected: grpc.StatusCode | None = None
    ) -> Answer | None:
        """Return the answer, or None when the service says `expected`."""
        call = self._channel.unary_unary(
            f"/datacatalog.DataCatalog/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        try:
            answer: Answer = await call(request, timeout=_TIMEOUT, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() is expected:
                return None
            raise UnavailableError(f"the catalog did not answer {method}: {error.details()}") from error
        return answer

    async def _exists(self, outputs: literals_pb2.LiteralMap) -> bool:
        for named, is_folder in _references(outputs):
            uri = f"file://{named}" if named.startswith("/") else named  # flytekit's raw data on this machine
            if self._objects is None or not uri.startswith(f"{self._objects.prefix}/"):
                continue  # not ours to ask for
            try:
                if not await self._has(self._objects, uri, is_folder=is_folder):
                    return False
            except FlyteformError as error:
                raise UnavailableError(f"{uri} can't be looked up: {error.message}") from error
        return True

    async def _has(self, objects: ObjectStore, uri: str, *, is_folder: bool) -> bool:
        return await objects.head(uri) is not None or (is_folder and await any_below(objects, uri))


def dataset_of(key: CacheKey) -> messages.DatasetID:
    """Return the dataset of a task: a change of its interface or its cache version makes another one."""
    task, interface = key.task.id, key.task.interface
    hashes = [
        object_hash(interface.inputs if interface.HasField("inputs") else VariableMap()),
        object_hash(interface.outputs if interface.HasField("outputs") else VariableMap()),
    ]
    version = "-".join([key.task.metadata.discovery_version.strip(" "), *(h[:_INTERFACE_HASH_LENGTH] for h in hashes)])
    return messages.DatasetID(project=task.project, domain=task.domain, name=f"flyte_task-{task.name}", version=version)


def _reservation(key: CacheKey) -> messages.ReservationID:
    return messages.ReservationID(dataset_id=dataset_of(key), tag_name=tag_of(key))


def tag_of(key: CacheKey) -> str:
    """Return the tag of a result: a hash of the inputs that count."""
    counted = {name: _hashified(value) for name, value in key.inputs.literals.items() if name not in key.ignored}
    return f"flyte_cached-{object_hash(literals_pb2.LiteralMap(literals=counted))}"


def object_hash(message: Message) -> str:
    """Return the ObjectHash of the message's JSON form in URL-safe base64: it knows no order of keys."""
    return base64.urlsafe_b64encode(_hash_json(json.loads(MessageToJson(message, indent=None)))).rstrip(b"=").decode()


def _hash_json(value: object) -> bytes:
    match value:
        case dict():
            pairs = sorted((_hash_json(name), _hash_json(item)) for name, item in value.items())
            return _digest(b"d", b"".join(name + item for name, item in pairs))
        case list():
            return _digest(b"l", b"".join(map(_hash_json, value)))
        case str():
            return _digest(b"u", value.encode())
        case bool():
            return _digest(b"b", b"1" if value else b"0")
        case int() | float():
            return _digest(b"f", _normal_float(float(value)).encode())
        case _:
            return _digest(b"n", b"")


def _digest(kind: bytes, content: bytes) -> bytes:
    return hashlib.sha256(kind + content).digest()


def _normal_float(value: float) -> str:
    """Write a float as sign, exponent and binary digits, which no two languages print differently."""
    if value == 0:
        return "+0:"
    sign, rest, exponent = ("-" if value < 0 else "+"), abs(value), 0
    while rest > 1:
        rest, exponent = rest / 2, exponent + 1
    while rest <= _HALF:
        rest, exponent = rest * 2, exponent - 1
    digits = []
    while rest:
        digits.append("1" if rest >= 1 else "0")
        rest = (rest - 1 if rest >= 1 else rest) * 2
    return f"{sign}{exponent}:{''.join(digits)}"


def _hashified(literal: literals_pb2.Literal) -> literals_pb2.Literal:
    """Return the literal with every value that brings its own hash replaced by that hash."""
    if literal.hash:
        return literals_pb2.Literal(hash=literal.hash)
    match literal.WhichOneof("value"):
        case "collection":
            items = [_hashified(item) for item in literal.collection.literals]
            return literals_pb2.Literal(collection=literals_pb2.LiteralCollection(literals=items))
        case "map":
            named = {name: _hashified(item) for name, item in literal.map.literals.items()}
            return literals_pb2.Literal(map=literals_pb2.LiteralMap(literals=named))
        case _:
            return literal


def _references(value: literals_pb2.LiteralMap) -> Iterator[tuple[str, bool]]:
    """Yield the URIs that the outputs name, and whether each may be a folder."""
    waiting = list(value.literals.values())
    while waiting:
        literal = waiting.pop()
        match literal.WhichOneof("value"):
            case "collection":
                waiting.extend(literal.collection.literals)
            case "map":
                waiting.extend(literal.map.literals.values())
            case "offloaded_metadata":
                yield literal.offloaded_metadata.uri, False
            case "scalar":
                match literal.scalar.WhichOneof("value"):
                    case "union":
                        waiting.append(literal.scalar.union.value)
                    case "blob":
                        yield literal.scalar.blob.uri, True
                    case "schema":
                        yield literal.scalar.schema.uri, True
                    case "structured_dataset":
                        yield literal.scalar.structured_dataset.uri, True


def _artifact_id(dataset: messages.DatasetID, tag: str, source: CacheSource) -> str:
    """Return the same id for the same result, so that a repeated `put` finds its own artifact."""
    execution = source.execution
    parts = (execution.project, execution.domain, execution.name, source.node, str(source.attempt))
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "\0".join((dataset.name, dataset.version, tag, *parts))))


def _describe(source: CacheSource) -> dict[str, str]:
    return {
        _EXECUTION: source.execution.name,
        _PROJECT: source.execution.project,
        _DOMAIN: source.execution.domain,
        _NODE: source.node,
        _ATTEMPT: str(source.attempt),
    }


def _cached(artifact: messages.Artifact, dataset: messages.DatasetID, tag: str) -> CachedOutputs:
    origin = artifact.metadata.key_map
    attempt = origin.get(_ATTEMPT, "")
    return CachedOutputs(
        outputs=literals_pb2.LiteralMap(literals={data.name: data.value for data in artifact.data}),
        artifact_id=artifact.id,
        tag=tag,
        dataset_name=dataset.name,
        dataset_version=dataset.version,
        source_project=origin.get(_PROJECT, ""),
        source_domain=origin.get(_DOMAIN, ""),
        source_execution=origin.get(_EXECUTION, ""),
        source_node=origin.get(_NODE, ""),
        source_attempt=int(attempt) if attempt.isdigit() else 0,
    )
