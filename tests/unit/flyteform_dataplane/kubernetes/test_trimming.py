"""What is left out of a pod changes nothing of what is made of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flyteform_dataplane.kubernetes.profile import GracePeriods
from flyteform_dataplane.kubernetes.states import state_of
from flyteform_dataplane.kubernetes.trimming import read_pod_lists, read_pods, trimmed_pod
from support.pods import ended, status, waiting

Json = dict[str, Any]
NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}
DISRUPTED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "moved"}
RUNNING = {"name": "main", "state": {"running": {"startedAt": "2026-01-01T00:00:01Z"}}}
PODS = [
    status("Pending", conditions=[UNSCHEDULABLE]),
    status("Pending", waiting("ImagePullBackOff", "no such image")),
    status(
        "Running",
        {"name": "main", "state": {"running": {"startedAt": "2026-01-01T00:00:01Z"}}},
        startTime="2026-01-01T00:00:00Z",
    ),
    status("Running", ended(code=0), waiting("ContainerCreating", name="other")),
    status("Succeeded", ended()),
    status("Failed", ended(code=137, reason="OOMKilled")),
    status("Failed", ended(code=1, message="Traceback")),
    status("Failed", reason="Evicted", message="low on memory"),
    status("Failed", ended(code=143), conditions=[DISRUPTED]),
]


def read(pod: Json) -> Json:
    """Return a pod as it is read of a watch, and of a list just so."""
    found: Json = read_pods(json.dumps({"type": "MODIFIED", "object": pod}).encode())["object"]
    page = read_pod_lists(json.dumps({"metadata": {"resourceVersion": "7", "continue": "c"}, "items": [pod]}).encode())
    assert page == {"metadata": {"resourceVersion": "7", "continue": "c"}, "items": [found]}
    return found


@pytest.mark.parametrize("pod", PODS, ids=range(len(PODS)))
@pytest.mark.parametrize("deleted", [False, True])
def test_the_judgement_is_the_same(pod: Json, *, deleted: bool) -> None:
    """Whole and trimmed, a pod stands alike, now and when every patience is over."""
    whole = json.loads(json.dumps(pod))
    whole["metadata"].update({"resourceVersion": "1", "managedFields": [{"manager": "x"}]})
    if deleted:
        whole["metadata"]["deletionTimestamp"] = "2026-01-01T00:30:00Z"
    for now in (NOW, NOW + timedelta(days=1)):
        assert state_of(trimmed_pod(whole), GracePeriods(), now) == state_of(whole, GracePeriods(), now)
    assert trimmed_pod(read(whole)) == trimmed_pod(whole)


def test_little_is_left() -> None:
    """Of a pod as an API server returns it, most is left out."""
    pod = status("Succeeded", {**ended(), "image": "x" * 100, "imageID": "y" * 100, "volumeMounts": [{"name": "v"}]})
    pod["metadata"].update(managedFields=[{"fieldsV1": {"f": "z" * 3000}}], ownerReferences=[{"uid": "u"}])
    pod["spec"] = {"nodeName": "n", "containers": [{"name": "main", "env": [{"name": "A", "value": "b"}] * 50}]}
    assert len(json.dumps(trimmed_pod(pod))) * 5 < len(json.dumps(pod))
    assert trimmed_pod(pod)["spec"] == {"nodeName": "n"}
    assert trimmed_pod(read(pod)) == trimmed_pod(pod)
    assert len(json.dumps(read(pod))) * 5 < len(json.dumps(pod))


def test_a_pod_of_another_form() -> None:
    """Null is nothing, what is zero or false stays, and a pod of a form that nobody expects is read whole."""
    pod = status("Running", {**ended(), "ready": False, "restartCount": 0, "started": None}, conditions=None)
    pod["metadata"] |= {"labels": None, "deletionTimestamp": None, "finalizers": []}
    kept = trimmed_pod(read(pod))
    assert kept["metadata"].keys() == {"name", "creationTimestamp", "labels", "annotations"}
    (container,) = kept["status"]["containerStatuses"]
    assert container["state"]["terminated"]["exitCode"] == 0
    assert (container["ready"], container["restartCount"], "started" in container) == (False, 0, False)
    assert read({**pod, "spec": {"hostname": 1, "containers": []}})["spec"] == {"hostname": 1, "containers": []}
