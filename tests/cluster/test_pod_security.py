"""The platform's own pods, as a real API server admits them where `restricted` pod security is enforced."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from support.kubernetes import kubectl
from support.recording.stacks import Recordings

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
SPACE = "restricted-platform"
OPERATOR, WEBHOOK = "flyteform-dataplane", "flyteform-webhook"  # the resource sync is a part of the operator
STACKS = [("onprem", "dev"), ("aws", "dev"), ("gcp", "dev"), ("azure", "dev"), ("onprem", "prod-dataplane-main")]


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """Return the maker of recordings."""
    return Recordings(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="module", autouse=True)
def _space() -> Iterator[None]:
    """Make a namespace that refuses what is not restricted."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE, "labels": labels}}
    kubectl("apply", "--filename=-", given=made)
    yield
    kubectl("delete", "namespace", SPACE, "--wait=false")


def pods_of(recorder: Recordings, cloud: str, stack: str) -> dict[str, Json]:
    """Return a pod of each workload of a stack, by the workload's name."""
    found = {}
    for each in recorder.shipped(cloud, stack).check().resources:
        template = each.inputs.get("spec", {}).get("template") if each.inputs.get("kind") in WORKLOADS else None
        if template is not None:
            claims = each.inputs["spec"].get("volumeClaimTemplates", [])
            found[str(each.inputs["metadata"]["name"])] = pod_of(template, [one["metadata"]["name"] for one in claims])
    return found


WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")


def pod_of(template: Json, claims: list[str]) -> Json:
    """Return a pod as its controller would make it, with its claims of storage, in the namespace of these tests."""
    about = {**template.get("metadata", {}), "generateName": "pod-", "namespace": SPACE}
    spec = copy.deepcopy(template["spec"])
    claimed = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]
    spec["volumes"] = [*spec.get("volumes", []), *claimed]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec}


def admit(pod: Json) -> None:
    """Have the API server judge a pod, whose account and class of priority it wants to know, without keeping it."""
    account = pod["spec"].get("serviceAccountName", "default")
    made = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": SPACE}}
    kubectl("apply", "--filename=-", given=made)
    if name := pod["spec"].get("priorityClassName"):
        kubectl("apply", "--filename=-", given=priority(name))
    kubectl("create", "--dry-run=server", "--filename=-", given=pod)


def priority(name: str) -> Json:
    """Return a class of priority."""
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": 1000,
    }


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("cloud", "stack"), STACKS)
def test_the_platforms_pods_are_restricted(recorder: Recordings, cloud: str, stack: str) -> None:
    """Operator, webhook (where there is one) and whatever else the stack starts is admitted, without exceptions."""
    pods = pods_of(recorder, cloud, stack)
    assert OPERATOR in pods
    assert WEBHOOK in pods or cloud != "onprem"
    for pod in pods.values():
        admit(pod)


@pytest.mark.timeout(300)
def test_a_pod_with_one_more_right_is_refused(recorder: Recordings) -> None:
    """The namespace does refuse: the operator's own pod, were it to ask for a privilege."""
    pod = pods_of(recorder, "onprem", "dev")[OPERATOR]
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(AssertionError, match="violates PodSecurity"):
        admit(pod)
