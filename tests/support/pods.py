"""Requests for pods and statuses of pods, as tests need them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyteidl.core.tasks_pb2 import Container, Resources, TaskTemplate

from flyteform_dataplane.ports import PodRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]
CREATED = "2026-01-01T00:00:00Z"


def amounts(**named: str) -> list[Resources.ResourceEntry]:
    """Return entries of resources: `amounts(CPU="1")`."""
    return [
        Resources.ResourceEntry(name=Resources.ResourceName.Value(name), value=value) for name, value in named.items()
    ]


def container_task(requests: Mapping[str, str] | None = None, limits: Mapping[str, str] | None = None) -> TaskTemplate:
    """Return a task that is a command in a container."""
    task = TaskTemplate(type="python-task", container=Container(image="localhost/python:test", command=["run"]))
    task.id.name = "train"
    task.container.resources.requests.extend(amounts(**(requests or {})))
    task.container.resources.limits.extend(amounts(**(limits or {})))
    return task


def request(task: TaskTemplate | None = None, **fields: Any) -> PodRequest:
    """Return a request for the first attempt of a node."""
    given: Json = {
        "name": "flytesnacks/development/f1/n0/0",
        "task": task or container_task(),
        "command": ("run",),
        "arguments": ("--fast",),
        "environment": {"A": "1"},
        **fields,
    }
    return PodRequest(**given)


def status(phase: str, *containers: Json, **fields: Any) -> Json:
    """Return a pod with this status, whose primary container is `main`."""
    metadata = {"name": "p", "creationTimestamp": CREATED, "annotations": {"primary_container_name": "main"}}
    return {"metadata": metadata, "status": {"phase": phase, "containerStatuses": list(containers), **fields}}


def ended(name: str = "main", code: int = 0, reason: str = "", message: str = "") -> Json:
    """Return the status of a container that has ended."""
    terminated = {"exitCode": code, "reason": reason, "message": message, "finishedAt": CREATED}
    return {"name": name, "state": {"terminated": terminated}}


def waiting(reason: str, message: str = "", name: str = "main") -> Json:
    """Return the status of a container that waits."""
    return {"name": name, "state": {"waiting": {"reason": reason, "message": message}}}
