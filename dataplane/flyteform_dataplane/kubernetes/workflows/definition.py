"""The definition of FlyteWorkflow. Names are Flyte's, so that `kubectl get flyteworkflows` serves the same habits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flyteform_dataplane.kubernetes.profile import Json

GROUP, VERSION, KIND, PLURAL = "flyte.lyft.com", "v1alpha1", "FlyteWorkflow", "flyteworkflows"
API_VERSION = f"{GROUP}/{VERSION}"
NAME = f"{PLURAL}.{GROUP}"
FINALIZER = "flyte.lyft.com/flyteform"

_TEXT: Json = {"type": "string"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_TIME: Json = {"type": "string", "format": "date-time"}
# Nobody else sets a part of it: who has set which costs the API server at each write, and makes the object larger.
_WHOLE: Json = {"x-kubernetes-map-type": "atomic"}


def definition() -> Json:
    """Return the CustomResourceDefinition; whoever installs the platform applies it, never the operator itself."""
    version: Json = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _schema()},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": "Workflow", "type": "string", "jsonPath": ".metadata.labels.workflow-name"},
            {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
            {"name": "Running", "type": "integer", "jsonPath": ".status.nodes.running"},
            {"name": "Succeeded", "type": "integer", "jsonPath": ".status.nodes.succeeded"},
            {"name": "Failed", "type": "integer", "jsonPath": ".status.nodes.failed"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
            {"name": "Message", "type": "string", "jsonPath": ".status.message", "priority": 1},
        ],
    }
    names = {
        "kind": KIND,
        "plural": PLURAL,
        "singular": "flyteworkflow",
        "shortNames": ["fly"],
        "listKind": f"{KIND}List",
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }


def _object(properties: Json, *required: str) -> Json:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def _schema() -> Json:
    identifier = _object({"project": _TEXT, "domain": _TEXT, "name": _TEXT}, "project", "domain", "name")
    root = {
        "apiVersion": _TEXT,
        "kind": _TEXT,
        "metadata": {"type": "object"},
        "executionId": identifier | _WHOLE,
        # URIs in the cluster's own object storage: neither may be too large for an object of Kubernetes.
        "workflowClosureReference": _TEXT,
        "offloadedInputs": _TEXT,
        "leaseReference": _TEXT,
        "acceptedAt": _TIME,
        "status": _status() | _WHOLE,
    }
    return _object(root, "executionId", "leaseReference", "acceptedAt")


def _status() -> Json:
    step = _object({"number": _COUNT, "lastEvent": _COUNT, "changes": {"type": "string", "format": "byte"}})
    segment = _object({"uri": _TEXT, "first": _COUNT, "last": _COUNT, "lastEvent": _COUNT})
    snapshot = _object({"uri": _TEXT, "step": _COUNT, "lastEvent": _COUNT})
    log = _object(
        {
            "step": _COUNT,
            "epoch": _COUNT,
            "acknowledged": _COUNT,
            "steps": {"type": "array", "items": step},
            "segments": {"type": "array", "items": segment},
            "snapshot": snapshot,
        }
    )
    nodes = _object({"running": _COUNT, "succeeded": _COUNT, "failed": _COUNT, "other": _COUNT})
    return _object(
        {
            "phase": _TEXT,
            "message": _TEXT,
            "nodes": nodes,
            "startedAt": _TIME,
            "stoppedAt": _TIME,
            "log": log,
        }
    )
