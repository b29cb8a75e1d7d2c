"""The log of executions in their FlyteWorkflow resources: short ones whole, long ones in object storage.

A step is one patch that fails unless it follows the step before and its writer is the one that took the execution over
last. So of two operators that both believe an execution to be theirs only one goes on. What a patch holds is bounded:
past 256 KiB the steps move to object storage, and the resource keeps where they are. A resource that nobody has written
since it was made is replaced as a whole, which costs the API server less than to patch it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING

import msgpack  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError

from flyteform.errors import AlreadyExistsError, ConflictError, InvalidInputError, NotFoundError, UnavailableError
from flyteform.objects.ports import any_below
from flyteform.proto.flyteform.v1.link_pb2 import Lease
from flyteform_dataplane.engine.graph import START_NODE
from flyteform_dataplane.kubernetes.scopes import Namespaces, listed, look
from flyteform_dataplane.kubernetes.sharding import SHARD_LABEL, shard_of
from flyteform_dataplane.kubernetes.workflows.resources import (
    COLLECTION,
    FINISHED_ANNOTATION,
    FIRST_ANNOTATION,
    TERMINATED,
    key_in,
    path_of,
    resource_of,
    status_of,
)
from flyteform_dataplane.runner.context import key_of, outputs_uri
from flyteform_dataplane.runner.log import LoggedExecution, LoggedStep, Snapshot, Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flyteform.objects.ports import ObjectStore
    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.kubernetes.profile import Json

logger = logging.getLogger(__name__)

LARGEST_LOG = 256 * 1024
# A log that is no larger stays in the resource of a finished execution until that is collected: it saves a write.
_SMALL_LOG = 16 * 1024
_CLOSURES = 1024  # that are known to be there


class Standing(Enum):
    """What became of an execution that is to begin."""

    BEGUN = "begun"
    BEGUN_AGAIN = "begun again"  # its store may have what a former life has left
    HELD = "held"
    FINISHED = "finished"


@dataclass(slots=True)
class _Running:
    """What is known of an execution that goes on here."""

    uid: str
    size: int  # of the changes in its resource, in bytes
    lease_only: bool  # whether its lease is all that it may have in object storage
    acknowledged: int = 0
    whole: Json | None = None  # the resource but for its status, as long as nobody can have written parts of it


class WorkflowLog:
    """Appends are durable when they return. `UnavailableError` when the log cannot be written, or is somebody else's.

    `shards` are those that are this operator's, each with the epoch in which it took it over; without it all are.
    `namespaces` are where executions may be, everywhere if it is not given.
    """

    def __init__(
        self,
        api: KubernetesApi,
        objects: ObjectStore,
        *,
        shards: Callable[[], Mapping[int, int]] | None = None,
        namespaces: Namespaces | None = None,
        largest: int = LARGEST_LOG,
    ) -> None:
        self._api = api
        self._objects = objects
        self._shards = shards
        self._namespaces = namespaces or Namespaces()
        self._largest = largest
        self._leases = f"{objects.prefix}/metadata/leases"
        self._logs = f"{objects.prefix}/metadata/log"
        self._running: dict[str, _Running] = {}
        self._finishing: set[str] = set()
        self._closures: OrderedDict[str, None] = OrderedDict()

    async def open(self) -> None:
        """Find that there are such resources; `NotFoundError` where their definition is not installed."""
        await look(self._api, COLLECTION, self._namespaces)

    async def close(self) -> None:
        """Nothing is kept open."""

    def uid(self, key: str) -> str:
        """Return the unique id of a running execution's resource, which owns its pods; "" if it is not known."""
        running = self._running.get(key)
        return "" if running is None else running.uid

    async def accept(self, key: str, lease: bytes, at: float) -> None:
        """Keep a new execution, instead of whatever there is of a former life of it."""
        parsed = Lease.FromString(lease)
        if await self.begin(parsed, lease, at) in (Standing.HELD, Standing.FINISHED):
            await self._remove_resource(key)
            await self.begin(parsed, lease, at)
        if key in self._running:
            self._running[key].lease_only = False  # a former life may have left more

    async def begin(self, lease: Lease, content: bytes, at: float) -> Standing:
        """Keep a new execution, unless there is one of that name; `UnavailableError` if that is being removed.

        `content` is the lease as it is kept.
        """
        key = key_of(lease.id)
        uri = self._lease_uri(key)
        closure, _, again = await asyncio.gather(
            self._keep_closure(lease), self._objects.put(uri, content), any_below(self._objects, lease.metadata_prefix)
        )
        references = {
            "leaseReference": uri,
            # The lease has all that is read again; these are for people.
            "workflowClosureReference": closure,
            "offloadedInputs": outputs_uri(lease, START_NODE),
        }
        resource = resource_of(key, lease, at, first=not again) | references
        path = path_of(key)
        try:
            made = await self._api.create(path.rpartition("/")[0], resource, metadata_only=True)
        except AlreadyExistsError:
            there = await self._api.get(path)
            if key_in(there) != key:
                raise UnavailableError(
                    f"somebody else has made a FlyteWorkflow where that of {key} has to be"
                ) from None
            if _is_finished(there):
                await self._objects.delete(uri)
                return Standing.FINISHED
            if "deletionTimestamp" in there["metadata"]:
                raise UnavailableError(f"what was here of {key} before is still being removed") from None
            return Standing.HELD
        resource["metadata"] |= {name: made["metadata"][name] for name in ("namespace", "resourceVersion")}
        self._running[key] = _Running(made["metadata"]["uid"], size=0, lease_only=True, whole=resource)
        return Standing.BEGUN_AGAIN if again else Standing.BEGUN

    async def append(
        self, key: str, step: LoggedStep, snapshot: Snapshot | None = None, summary: Summary | None = None
    ) -> None:
        """Keep a step, and with it a snapshot that replaces the one before."""
        epoch = self._epoch(key)
        if epoch is None:
            raise UnavailableError(f"{key} belongs to a shard that another operator has")
        running = self._running.get(key)
        size = (self._largest if running is None else running.size) + len(step.changes)
        if running is None or snapshot is not None or size > self._largest:
            await self._rewrite(key, step, snapshot, summary, epoch)
            return
        try:
            await self._step(key, running, step, summary, epoch)
        except (InvalidInputError, NotFoundError) as error:
            raise UnavailableError(f"step {step.number} of {key} does not follow the log: {error.message}") from error
        running.size = size

    def acknowledge(self, key: str, event: int) -> None:
        """Note up to which event the control plane knows all; written with what is written next."""
        running = self._running.get(key)
        if running is not None:
            running.acknowledged = max(running.acknowledged, event)

    def finishing(self, key: str) -> bool:
        """Say whether an execution is just being finished here."""
        return key in self._finishing

    async def finish(self, key: str) -> None:
        """Keep of an execution only that it was here."""
        self._finishing.add(key)
        try:
            await self._finish(key)
        finally:
            self._finishing.discard(key)

    async def _finish(self, key: str) -> None:
        path, running = path_of(key), self._running.get(key)
        try:
            if running is None or running.size > _SMALL_LOG:
                await self._api.patch(f"{path}/status", {"status": {"log": None}})
                running = None
            if running is None or not await self._replace(path, running, {"metadata": _finished(running.whole or {})}):
                await self._api.patch(path, {"metadata": _finished({})})
        except NotFoundError:
            logger.info("the resource of %s is gone, its end is known all the same", key)
        await self._delete_objects(key)
        self._forget(key)

    async def remove(self, key: str) -> None:
        """Keep nothing of an execution, not even that it was here."""
        try:
            await self._remove_resource(key)
        except NotFoundError:
            logger.info("execution %s was removed before", key)
        await self._delete_objects(key)
        self._forget(key)

    async def finished(self, key: str) -> bool:
        """Say whether an execution was here and is done with."""
        try:
            return _is_finished(await self._api.get(path_of(key)))
        except NotFoundError:
            return False

    async def load(self, key: str) -> LoggedExecution | None:
        """Return one execution that has to go on, taking it over from whoever had it before.

        None if it has not to go on, or if it is another operator's. `NotFoundError` if what it has is no log.
        """
        epoch = self._epoch(key)
        try:
            resource = await self._api.get(path_of(key))
        except NotFoundError:
            return None
        if epoch is None or _is_finished(resource) or not await self._claim(key, resource, epoch):
            return None
        try:
            return await self._logged(key, resource)
        except (InvalidInputError, ValueError, LookupError, TypeError, DecodeError) as error:
            raise NotFoundError(f"its log cannot be read: {error}") from error

    async def unfinished(self) -> list[LoggedExecution]:
        """Return what has to go on, oldest first."""
        found = []
        for resource in await self._resources():
            key = key_in(resource)
            if not key:
                continue
            try:
                logged = await self.load(key)
            except NotFoundError as error:
                # The others go on: one whose log is lost must not stop them all.
                logger.error("execution %s cannot go on: %s", key, error.message)  # noqa: TRY400 - its place says nothing
                continue
            if logged is not None:
                found.append(logged)
        return sorted(found, key=lambda logged: (logged.accepted_at, logged.key))

    async def _resources(self) -> list[Json]:
        shards = None if self._shards is None else sorted(self._shards())
        if shards is not None and not shards:
            return []
        mine = "" if shards is None else f",{SHARD_LABEL} in ({','.join(map(str, shards))})"
        found = listed(self._api, COLLECTION, self._namespaces, f"!termination-status{mine}")
        return [resource async for resource in found]

    def _epoch(self, key: str) -> int | None:
        return 0 if self._shards is None else self._shards().get(shard_of(key))

    async def _claim(self, key: str, resource: Json, epoch: int) -> bool:
        """Write into the log that it is ours from now on: whoever had it before cannot write any more."""
        log = resource.get("status", {}).get("log")
        before = 0 if log is None else log.get("epoch", 0)
        if log is None or before == epoch:
            return True
        if before > epoch:
            return False
        operations: list[Json] = [
            {"op": "test", "path": "/status/log/step", "value": log["step"]},
            {"op": "test", "path": "/status/log/epoch", "value": before},
            {"op": "replace", "path": "/status/log/epoch", "value": epoch},
        ]
        try:
            await self._api.patch_json(f"{path_of(key)}/status", operations)
        except (InvalidInputError, NotFoundError) as error:
            raise UnavailableError(f"{key} changed while it was taken over: {error.message}") from error
        return True

    async def _logged(self, key: str, resource: Json) -> LoggedExecution:
        log = resource.get("status", {}).get("log", {})
        steps = [step for segment in log.get("segments", []) for step in await self._segment(segment["uri"])]
        steps += [_decoded(step) for step in log.get("steps", [])]
        snapshot = None
        if log.get("snapshot"):
            state = await self._objects.get(log["snapshot"]["uri"])
            snapshot = Snapshot(log["snapshot"]["step"], log["snapshot"]["lastEvent"], state)
        lease = await self._objects.get(self._own(resource["leaseReference"]))
        if key_of(Lease.FromString(lease).id) != key:
            raise NotFoundError(f"the lease of {key} is that of another execution")
        size = sum(len(step["changes"]) for step in log.get("steps", []))
        # Whoever had it before may have begun to move its log.
        self._running[key] = _Running(resource["metadata"]["uid"], size, False, log.get("acknowledged", 0))
        accepted_at = datetime.fromisoformat(resource["acceptedAt"]).timestamp()
        first = FIRST_ANNOTATION in resource["metadata"].get("annotations", {})
        return LoggedExecution(key, lease, accepted_at, log.get("acknowledged", 0), snapshot, tuple(steps), first=first)

    def _own(self, uri: str) -> str:
        """Refuse a reference to anything but what this cluster's operators have written."""
        if not uri.startswith((f"{self._leases}/", f"{self._logs}/")) or "/../" in uri:
            raise InvalidInputError(f"{uri} is no part of a log")
        return uri

    async def _step(self, key: str, running: _Running, step: LoggedStep, summary: Summary | None, epoch: int) -> None:
        """Write a step beside those that there are; the first one makes the status."""
        path, told = f"{path_of(key)}/status", status_of(summary)
        if step.number > 1:
            running.whole = None
            changes: list[Json] = [
                {"op": "test", "path": "/status/log/step", "value": step.number - 1},
                {"op": "test", "path": "/status/log/epoch", "value": epoch},
                {"op": "replace", "path": "/status/log/step", "value": step.number},
                {"op": "add", "path": "/status/log/steps/-", "value": _encoded(step)},
                {"op": "replace", "path": "/status/log/acknowledged", "value": running.acknowledged},
                *({"op": "add", "path": f"/status/{name}", "value": value} for name, value in told.items()),
            ]
            await self._api.patch_json(path, changes)
            return
        log = {"step": 1, "epoch": epoch, "acknowledged": running.acknowledged, "steps": [_encoded(step)]}
        status = {**told, "log": log}
        if not await self._replace(path, running, {"status": status}):
            nothing = {"op": "test", "path": "/status", "value": None}
            await self._api.patch_json(path, [nothing, {"op": "add", "path": "/status", "value": status}])

    async def _replace(self, path: str, running: _Running, parts: Json) -> bool:
        """Replace parts of a resource that is known whole; False if it is not, or if somebody else has written it."""
        if running.whole is None:
            return False
        try:
            written = await self._api.replace(path, running.whole | parts, metadata_only=True)
        except ConflictError:
            running.whole = None
            return False
        running.whole["metadata"]["resourceVersion"] = written["metadata"]["resourceVersion"]
        return True

    async def _rewrite(
        self, key: str, step: LoggedStep, snapshot: Snapshot | None, summary: Summary | None, epoch: int
    ) -> None:
        """Write the step with the whole of a log that has grown too large, or that a snapshot makes short."""
        resource = await self._api.get(path_of(key))
        log = resource.get("status", {}).get("log", {"step": 0, "epoch": epoch})
        if log.get("step") != step.number - 1 or log.get("epoch", 0) != epoch:
            raise UnavailableError(
                f"step {step.number} of {key} does not follow the log, which is at {log.get('step')}"
            )
        prefix = f"{self._logs}/{key}"
        running = self._running.setdefault(key, _Running(resource["metadata"]["uid"], 0, lease_only=False))
        running.lease_only, running.whole = False, None
        acknowledged = max(log.get("acknowledged", 0), running.acknowledged)
        steps, segments = [_decoded(each) for each in log.get("steps", [])], list(log.get("segments", []))
        kept: Json = {"step": step.number, "epoch": epoch, "acknowledged": acknowledged}
        if log.get("snapshot"):
            kept["snapshot"] = log["snapshot"]
        if snapshot is not None:
            uri = f"{prefix}/snapshot-{snapshot.step}"
            await self._objects.put(uri, snapshot.state)
            kept["snapshot"] = {"uri": uri, "step": snapshot.step, "lastEvent": snapshot.last_event}
            steps = [each for each in steps if each.last_event > acknowledged or each.number > snapshot.step]
            segments = [each for each in segments if each["lastEvent"] > acknowledged or each["last"] > snapshot.step]
        if sum(len(each.changes) for each in steps) > self._largest // 2:
            segments.append(await self._offload(prefix, steps))
            steps = []
        kept |= {"steps": [_encoded(each) for each in (*steps, step)], "segments": segments}
        resource["status"] = {**resource.get("status", {}), **status_of(summary), "log": kept}
        try:
            await self._api.replace(f"{path_of(key)}/status", resource)
        except ConflictError as error:
            raise UnavailableError(f"somebody else writes the log of {key}: {error.message}") from error
        running.size = sum(len(each.changes) for each in steps) + len(step.changes)

    async def _offload(self, prefix: str, steps: Sequence[LoggedStep]) -> Json:
        uri = f"{prefix}/steps-{steps[0].number}"
        rows = [[step.number, step.last_event, step.changes] for step in steps]
        await self._objects.put(uri, msgpack.packb(rows))
        last = steps[-1]
        return {"uri": uri, "first": steps[0].number, "last": last.number, "lastEvent": last.last_event}

    async def _segment(self, uri: str) -> list[LoggedStep]:
        return [LoggedStep(*row) for row in msgpack.unpackb(await self._objects.get(uri))]

    async def _remove_resource(self, key: str) -> None:
        path = path_of(key)
        await self._api.patch(path, {"metadata": {"finalizers": None}})
        try:
            await self._api.delete(path)
        except NotFoundError:
            return  # it was being deleted, and its finalizer was what it waited for

    def _lease_uri(self, key: str) -> str:
        # Not among the execution's own files, which are cleared when it begins.
        return f"{self._leases}/{key}.pb"

    async def _keep_closure(self, lease: Lease) -> str:
        """Return where the closure lies: once for all executions of its version of a workflow."""
        content = lease.closure.SerializeToString(deterministic=True)
        uri = f"{self._objects.prefix}/metadata/closures/{hashlib.sha256(content).hexdigest()}.pb"
        if uri not in self._closures:
            await self._objects.put(uri, content, durable=False)
            self._closures[uri] = None
            if len(self._closures) > _CLOSURES:
                self._closures.popitem(last=False)
        return uri

    async def _delete_objects(self, key: str) -> None:
        running = self._running.get(key)
        await self._objects.delete(self._lease_uri(key))
        if running is None or not running.lease_only:
            async for found in self._objects.list(f"{self._logs}/{key}/"):
                await self._objects.delete(found.uri)

    def _forget(self, key: str) -> None:
        self._running.pop(key, None)


def _finished(resource: Json) -> Json:
    """Return the metadata of a resource, with the marks of an execution that is over."""
    metadata, now = resource.get("metadata", {}), datetime.now(UTC)
    over = {**TERMINATED, "completed-time": now.strftime("%Y-%m-%d.%H")}
    return {
        **metadata,
        "labels": {**metadata.get("labels", {}), **over},
        "annotations": {**metadata.get("annotations", {}), FINISHED_ANNOTATION: now.isoformat()},
        "finalizers": None,
        # Nobody asks who set which field of what is over, and working that out is a third of what this write costs.
        "managedFields": [{}],
    }


def _is_finished(resource: Json) -> bool:
    labels = resource["metadata"].get("labels", {})
    return all(labels.get(label) == value for label, value in TERMINATED.items())


def _encoded(step: LoggedStep) -> Json:
    changes = base64.b64encode(step.changes).decode()
    return {"number": step.number, "lastEvent": step.last_event, "changes": changes}


def _decoded(step: Json) -> LoggedStep:
    return LoggedStep(step["number"], step["lastEvent"], base64.b64decode(step["changes"]))
