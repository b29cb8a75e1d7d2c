"""What the platform keeps in a cluster, on a real API server: applied, put back, and never taken from others."""

from __future__ import annotations

import json
import os
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flyteform.proto.flyteform.v1.link_pb2 import ResourceSync, SyncReport
from flyteform_dataplane.channel import Backoff
from flyteform_dataplane.kubernetes.api import connect
from flyteform_dataplane.kubernetes.sync import ServerSideApplier
from flyteform_dataplane.sync.resources import MANAGED_BY, OWNER
from flyteform_dataplane.sync.syncer import ResourceSyncer
from support.kubernetes import get, kubectl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SPACE = "synced-development"
QUICK = Backoff(0.05, 0.1)


def resource(kind: str, name: str, **rest: object) -> str:
    """Return a resource of the namespace, or the namespace itself, in JSON."""
    metadata = {"name": name} if kind == "Namespace" else {"name": name, "namespace": SPACE}
    return json.dumps({"apiVersion": "v1", "kind": kind, "metadata": metadata, **rest})


def quota(cpu: str) -> str:
    """Return a quota."""
    return resource("ResourceQuota", "project-quota", spec={"hard": {"limits.cpu": cpu}})


def wanted(*resources: str) -> ResourceSync:
    """Return what the control plane sends, the namespace first."""
    return ResourceSync(hash="h", resources=[resource("Namespace", SPACE), *resources])


@pytest.fixture(autouse=True)
def _nothing_there() -> None:
    kubectl("delete", "namespace", SPACE, "--ignore-not-found", "--wait")


@pytest.fixture
async def syncer() -> AsyncIterator[ResourceSyncer]:
    """Return one that looks again at once."""
    async with connect(Path(os.environ["KUBECONFIG"])) as api:
        yield ResourceSyncer(ServerSideApplier(api), backoff=QUICK, again=0.05)


async def first(syncer: ResourceSyncer, sync: ResourceSync) -> SyncReport:
    """Return how the first try went."""
    async with aclosing(syncer.sync(sync)) as reports:  # type: ignore[type-var]
        return await anext(reports)


async def test_namespaces_quotas_limits_and_accounts_are_applied(syncer: ResourceSyncer) -> None:
    """All four kinds are there with the mark of their owner; other values later are the ones that count."""
    limits = resource("LimitRange", "limits", spec={"limits": [{"type": "Container", "default": {"cpu": "1"}}]})
    report = await first(syncer, wanted(quota("4"), limits, resource("ServiceAccount", "worker")))
    assert (report.applied, list(report.errors)) == (4, [])
    assert get("namespace", SPACE)["metadata"]["labels"][MANAGED_BY] == OWNER
    assert get("resourcequota", "project-quota", SPACE)["spec"]["hard"] == {"limits.cpu": "4"}
    assert get("limitrange", "limits", SPACE)["spec"]["limits"][0]["default"] == {"cpu": "1"}
    assert get("serviceaccount", "worker", SPACE)["metadata"]["labels"][MANAGED_BY] == OWNER
    assert not (await first(syncer, wanted(quota("8")))).errors
    assert get("resourcequota", "project-quota", SPACE)["spec"]["hard"] == {"limits.cpu": "8"}
    assert get("limitrange", "limits", SPACE)["metadata"]["name"] == "limits"


async def test_what_somebody_changes_or_removes_is_put_back(syncer: ResourceSyncer) -> None:
    """A quota that was edited has its value again, one that was deleted is there again."""
    async with aclosing(syncer.sync(wanted(quota("4")))) as reports:  # type: ignore[type-var]
        assert not (await anext(reports)).errors
    edit = {"spec": {"hard": {"limits.cpu": "99"}}}
    kubectl("patch", "resourcequota", "project-quota", f"--namespace={SPACE}", "--type=merge", f"-p={json.dumps(edit)}")
    assert not (await first(syncer, wanted(quota("4")))).errors
    assert get("resourcequota", "project-quota", SPACE)["spec"]["hard"] == {"limits.cpu": "4"}
    kubectl("delete", "resourcequota", "project-quota", f"--namespace={SPACE}")
    assert not (await first(syncer, wanted(quota("4")))).errors
    assert get("resourcequota", "project-quota", SPACE)["spec"]["hard"] == {"limits.cpu": "4"}


async def test_what_others_own_is_left_to_them_and_said(syncer: ResourceSyncer) -> None:
    """A quota of somebody else keeps its value, the report says so, the others are applied; given up, it is taken."""
    kubectl("create", "namespace", SPACE)
    theirs = json.loads(quota("99"))
    kubectl("apply", "--server-side", "--field-manager=people", "--filename=-", given=theirs)
    report = await first(syncer, wanted(quota("4"), resource("ServiceAccount", "worker")))
    assert report.applied == 2
    (error,) = report.errors
    assert error.resource == f"ResourceQuota/{SPACE}/project-quota"
    assert "people" in error.message
    assert get("resourcequota", "project-quota", SPACE)["spec"]["hard"] == {"limits.cpu": "99"}
    kubectl("label", "resourcequota", "project-quota", f"--namespace={SPACE}", f"{MANAGED_BY}={OWNER}")
    assert not (await first(syncer, wanted(quota("4")))).errors
    assert get("resourcequota", "project-quota", SPACE)["spec"]["hard"] == {"limits.cpu": "4"}


async def test_what_kubernetes_refuses_is_said_and_the_rest_goes_on(syncer: ResourceSyncer) -> None:
    """A quota that is no quantity: Kubernetes' own sentence, and the account beside it is there."""
    report = await first(syncer, wanted(quota("much"), resource("ServiceAccount", "worker")))
    assert (report.applied, [error.resource for error in report.errors]) == (
        2,
        [f"ResourceQuota/{SPACE}/project-quota"],
    )
    assert get("serviceaccount", "worker", SPACE)["metadata"]["name"] == "worker"
