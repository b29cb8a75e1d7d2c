"""The log of executions in their FlyteWorkflow resources: short ones whole, long ones in object storage.

A step is one patch that fails unless it follows the step before, so of two operators that both believe an execution to
be theirs only one goes on. What a patch holds is bounded: past 256 KiB the steps move to object storage, and the
resource keeps where they are.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgpack  # type: ignore[import-untyped]

from flyteform.errors import AlreadyExistsError, ConflictError, InvalidInputError, NotFoundError, UnavailableError
from flyteform.proto.flyteform.v1.link_pb2 import Lease
from flyteform_dataplane.kubernetes.names import label_value, namespace_of, pod_name
from flyteform_dataplane.kubernetes.workflows.definition import API_VERSION, FINALIZER, GROUP, KIND, PLURAL, VERSION
from flyteform_dataplane.runner.log import LoggedExecution, LoggedStep, Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform.objects.ports import ObjectStore
    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.kubernetes.profile import Json

logger = logging.getLogger(__name__)

LARGEST_LOG = 256 * 1024
TERMINATED = {"termination-status": "terminated"}
_PAGE = "500"
_COLLECTION = f"/apis/{GROUP}/{VERSION}/{PLURAL}"


class WorkflowLog:
    """Appends are durable when they return. `UnavailableError` when the log cannot be written, or is somebody else's.

    `selector` chooses the resources that are this operator's: those of its shards.
    """

    def __init__(
        self, api: KubernetesApi, objects: ObjectStore, *, selector: str = "", largest: int = LARGEST_LOG
    ) -> None:
        self._api = api
        self._objects = objects
        self._selector = selector
        self._largest = largest
        self._acknowledged: dict[str, int] = {}
        self._sizes: dict[str, int] = {}

    async def open(self) -> None:
        """Find that there are such resources; `NotFoundError` where their definition is not installed."""
        await self._api.get(_COLLECTION, limit="1")

    async def close(self) -> None:
        """Nothing is kept open."""

    async def accept(self, key: str, lease: bytes, at: float) -> None:
        """Keep a new execution, instead of whatever there is of a former life of it."""
        parsed = Lease.FromString(lease)
        # Not among the execution's own files, which are cleared when it begins.
        prefix = f"{self._objects.prefix}/metadata/log/{key}"
        references = {
            "leaseReference": (f"{prefix}/lease.pb", lease),
            "workflowClosureReference": (f"{prefix}/closure.pb", parsed.closure.SerializeToString()),
            "offloadedInputs": (f"{prefix}/inputs.pb", parsed.inputs.SerializeToString()),
        }
        await asyncio.gather(*(self._objects.put(uri, content) for uri, content in references.values()))
        resource = _resource(key, parsed, at) | {field: uri for field, (uri, _) in references.items()}
        path = _path(key)
        try:
            await self._api.create(path.rpartition("/")[0], resource)
        except AlreadyExistsError:
            await self._api.patch(path, {"metadata": {"finalizers": None}})
            await self._api.delete(path)
            await self._api.create(path.rpartition("/")[0], resource)
        await self._api.patch(f"{path}/status", {"status": _fresh_status()})
        self._acknowledged.pop(key, None)
        self._sizes[key] = 0

    async def append(self, key: str, step: LoggedStep, snapshot: Snapshot | None = None) -> None:
        """Keep a step, and with it a snapshot that replaces the one before."""
        size = self._sizes.get(key, self._largest) + len(step.changes)
        if snapshot is not None or size > self._largest:
            await self._rewrite(key, step, snapshot)
            return
        operations: list[Json] = [
            {"op": "test", "path": "/status/log/step", "value": step.number - 1},
            {"op": "replace", "path": "/status/log/step", "value": step.number},
            {"op": "add", "path": "/status/log/steps/-", "value": _encoded(step)},
        ]
        if key in self._acknowledged:
            value = self._acknowledged[key]
            operations.append({"op": "replace", "path": "/status/log/acknowledged", "value": value})
        try:
            await self._api.patch_json(f"{_path(key)}/status", operations)
        except (InvalidInputError, NotFoundError) as error:
            raise UnavailableError(f"step {step.number} of {key} does not follow the log: {error.message}") from error
        self._sizes[key] = size

    def acknowledge(self, key: str, event: int) -> None:
        """Note up to which event the control plane knows all; written with what is written next."""
        self._acknowledged[key] = max(self._acknowledged.get(key, 0), event)

    async def finish(self, key: str) -> None:
        """Keep of an execution only that it was here."""
        path = _path(key)
        resource = await self._api.get(path)
        done = {"finished": True, "stoppedAt": _now(), "log": {**_fresh_status()["log"], "snapshot": None}}
        await self._api.patch(f"{path}/status", {"status": done})
        labels = {**TERMINATED, "completed-time": datetime.now(UTC).strftime("%Y-%m-%d.%H")}
        await self._api.patch(path, {"metadata": {"labels": labels, "finalizers": None}})
        await self._delete_objects(resource)
        self._forget(key)

    async def remove(self, key: str) -> None:
        """Keep nothing of an execution, not even that it was here."""
        path = _path(key)
        try:
            resource = await self._api.get(path)
            await self._api.patch(path, {"metadata": {"finalizers": None}})
            await self._api.delete(path)
            await self._delete_objects(resource)
        except NotFoundError:
            logger.info("execution %s was removed before", key)
        self._forget(key)

    async def finished(self, key: str) -> bool:
        """Say whether an execution was here and is done with."""
        try:
            resource = await self._api.get(_path(key))
        except NotFoundError:
            return False
        return bool(resource.get("status", {}).get("finished"))

    async def unfinished(self) -> list[LoggedExecution]:
        """Return what has to go on, oldest first."""
        found = []
        for resource in await self._resources():
            try:
                found.append(await self._logged(resource))
            except NotFoundError as error:
                # The others go on: one whose log is lost must not stop them all.
                logger.error("execution %s cannot go on: %s", resource["executionId"], error.message)  # noqa: TRY400 - its place says nothing
        return sorted(found, key=lambda logged: (logged.accepted_at, logged.key))

    async def _resources(self) -> list[Json]:
        query = {"limit": _PAGE, "labelSelector": ",".join(filter(None, (self._selector, "!termination-status")))}
        found, token = [], ""
        while True:
            page = await self._api.get(_COLLECTION, **query, **({"continue": token} if token else {}))
            # One whose acceptance was cut short has no log yet: its lease comes again.
            found += [item for item in page["items"] if "log" in item.get("status", {})]
            token = page["metadata"].get("continue", "")
            if not token:
                return found

    async def _logged(self, resource: Json) -> LoggedExecution:
        log = resource["status"]["log"]
        name = resource["executionId"]
        key = f"{name['project']}/{name['domain']}/{name['name']}"
        steps = [step for segment in log.get("segments", []) for step in await self._segment(segment["uri"])]
        steps += [_decoded(step) for step in log.get("steps", [])]
        snapshot = None
        if log.get("snapshot"):
            state = await self._objects.get(log["snapshot"]["uri"])
            snapshot = Snapshot(log["snapshot"]["step"], log["snapshot"]["lastEvent"], state)
        lease = await self._objects.get(resource["leaseReference"])
        self._sizes[key] = sum(len(step["changes"]) for step in log.get("steps", []))
        accepted_at = datetime.fromisoformat(resource["acceptedAt"]).timestamp()
        return LoggedExecution(key, lease, accepted_at, log.get("acknowledged", 0), snapshot, tuple(steps))

    async def _rewrite(self, key: str, step: LoggedStep, snapshot: Snapshot | None) -> None:
        """Write the step with the whole of a log that has grown too large, or that a snapshot makes short."""
        resource = await self._api.get(_path(key))
        log = resource.get("status", {}).get("log", {})
        if log.get("step") != step.number - 1:
            raise UnavailableError(
                f"step {step.number} of {key} does not follow the log, which is at {log.get('step')}"
            )
        prefix = resource["leaseReference"].rpartition("/")[0]
        acknowledged = max(log.get("acknowledged", 0), self._acknowledged.get(key, 0))
        steps, segments = [_decoded(each) for each in log.get("steps", [])], list(log.get("segments", []))
        kept: Json = {"step": step.number, "acknowledged": acknowledged}
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
        resource["status"]["log"] = kept
        try:
            await self._api.replace(f"{_path(key)}/status", resource)
        except ConflictError as error:
            raise UnavailableError(f"somebody else writes the log of {key}: {error.message}") from error
        self._sizes[key] = sum(len(each.changes) for each in steps) + len(step.changes)

    async def _offload(self, prefix: str, steps: Sequence[LoggedStep]) -> Json:
        uri = f"{prefix}/steps-{steps[0].number}"
        rows = [[step.number, step.last_event, step.changes] for step in steps]
        await self._objects.put(uri, msgpack.packb(rows))
        last = steps[-1]
        return {"uri": uri, "first": steps[0].number, "last": last.number, "lastEvent": last.last_event}

    async def _segment(self, uri: str) -> list[LoggedStep]:
        return [LoggedStep(*row) for row in msgpack.unpackb(await self._objects.get(uri))]

    async def _delete_objects(self, resource: Json) -> None:
        prefix = resource["leaseReference"].rpartition("/")[0]
        async for found in self._objects.list(f"{prefix}/"):
            await self._objects.delete(found.uri)

    def _forget(self, key: str) -> None:
        self._acknowledged.pop(key, None)
        self._sizes.pop(key, None)


def _path(key: str) -> str:
    project, domain, name = key.split("/")
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace_of(project, domain)}/{PLURAL}/{pod_name(name)}"


def _resource(key: str, lease: Lease, at: float) -> Json:
    project, domain, name = key.split("/")
    workflow = lease.closure.primary.template.id.name
    labels = {"project": project, "domain": domain, "execution-id": name, "workflow-name": workflow}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": pod_name(name),
            "labels": {label: label_value(value) for label, value in labels.items()},
            "finalizers": [FINALIZER],
        },
        "executionId": {"project": project, "domain": domain, "name": name},
        "acceptedAt": datetime.fromtimestamp(at, UTC).isoformat(),
    }


def _fresh_status() -> Json:
    return {"phase": "Ready", "log": {"step": 0, "acknowledged": 0, "steps": [], "segments": []}}


def _encoded(step: LoggedStep) -> Json:
    changes = base64.b64encode(step.changes).decode()
    return {"number": step.number, "lastEvent": step.last_event, "changes": changes}


def _decoded(step: Json) -> LoggedStep:
    return LoggedStep(step["number"], step["lastEvent"], base64.b64decode(step["changes"]))


def _now() -> str:
    return datetime.now(UTC).isoformat()
