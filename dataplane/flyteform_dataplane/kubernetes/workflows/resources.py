"""The FlyteWorkflow of an execution: its name and labels, the marks that are left on it, its summary for people."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

from flyteform_dataplane.kubernetes.names import label_text, label_value, namespace_of, pod_name
from flyteform_dataplane.kubernetes.sharding import SHARD_LABEL, shard_of
from flyteform_dataplane.kubernetes.workflows.definition import API_VERSION, FINALIZER, GROUP, KIND, PLURAL, VERSION

if TYPE_CHECKING:
    from flyteform.proto.flyteform.v1.link_pb2 import Lease
    from flyteform_dataplane.kubernetes.profile import Json
    from flyteform_dataplane.runner.log import Summary

COLLECTION = f"/apis/{GROUP}/{VERSION}/{PLURAL}"
# Flyte's, on what is over: the control plane knows its last event.
TERMINATED = {"termination-status": "terminated"}
UNFINISHED = "!termination-status"
# Which execution it is, whole: names of resources and values of labels have rules of their own.
KEY_ANNOTATION = "flyteform.dev/execution"
# On an execution of which the store had nothing when it began: what lies there is its own.
FIRST_ANNOTATION = "flyteform.dev/first-life"
FINISHED_ANNOTATION = "flyteform.dev/finished-at"
# Said to whoever has the execution, by whoever speaks with the control plane.
ABORT_ANNOTATION = "flyteform.dev/abort"
REVOKE_ANNOTATION = "flyteform.dev/revoke"
_PARTS = 3  # of a key: project, domain and name


def path_of(key: str) -> str:
    """Return where the resource of an execution is."""
    project, domain, name = key.split("/")
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace_of(project, domain)}/{PLURAL}/{pod_name(name)}"


@lru_cache(maxsize=65_536)
def place_of(key: str) -> tuple[str, str]:
    """Return the namespace and the name of the resource of an execution."""
    project, domain, name = key.split("/")
    return namespace_of(project, domain), pod_name(name)


def identifier_of(key: str) -> WorkflowExecutionIdentifier:
    """Return the execution of a key."""
    project, domain, name = key.split("/")
    return WorkflowExecutionIdentifier(project=project, domain=domain, name=name)


def key_in(resource: Json) -> str:
    """Return which execution a resource is of; "" for one that somebody else made, or put elsewhere."""
    metadata = resource["metadata"]
    key = str((metadata.get("annotations") or {}).get(KEY_ANNOTATION, ""))
    return key if _is_key(key) and place_of(key) == (metadata["namespace"], metadata["name"]) else ""


def _is_key(text: str) -> bool:
    parts = text.split("/")
    return len(parts) == _PARTS and all(parts)


def resource_of(key: str, lease: Lease, at: float, *, first: bool) -> Json:
    """Return the resource of an execution that begins, for the `first` time or not, without its objects' places."""
    project, domain, name = key.split("/")
    workflow = lease.closure.primary.template.id.name
    labels = {
        "project": project,
        "domain": domain,
        "execution-id": name,
        "workflow-name": label_text(workflow),
        SHARD_LABEL: str(shard_of(key)),
    }
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": pod_name(name),
            "labels": {label: label_value(value) for label, value in labels.items()},
            "annotations": {KEY_ANNOTATION: key, **({FIRST_ANNOTATION: "true"} if first else {})},
            "finalizers": [FINALIZER],
        },
        "executionId": {"project": project, "domain": domain, "name": name},
        "acceptedAt": datetime.fromtimestamp(at, UTC).isoformat(),
    }


def status_of(summary: Summary | None) -> Json:
    """Return the part of the status that people look at."""
    if summary is None:
        return {}
    nodes = {
        "running": summary.running,
        "succeeded": summary.succeeded,
        "failed": summary.failed,
        "other": summary.other,
    }
    times = {"startedAt": summary.started_at, "stoppedAt": summary.stopped_at}
    return {
        "phase": summary.phase,
        **({"message": summary.message} if summary.message else {}),
        "nodes": nodes,
        **{name: datetime.fromtimestamp(at, UTC).isoformat() for name, at in times.items() if at},
    }
