"""What the platform keeps in a cluster: what may be kept, and how long it is tried."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteform.errors import ConflictError, FlyteformError, UnavailableError
from flyteform.proto.flyteform.v1.link_pb2 import ResourceSync
from flyteform_dataplane.channel import Backoff
from flyteform_dataplane.sync.resources import MANAGED_BY, OWNER, read_resources
from flyteform_dataplane.sync.syncer import ResourceSyncer

if TYPE_CHECKING:
    from flyteform_dataplane.sync.resources import Resource


def resource(kind: str, name: str, namespace: str = "", version: str = "v1", **metadata: Any) -> str:
    """Return a resource in JSON."""
    named = {"name": name, **({"namespace": namespace} if namespace else {}), **metadata}
    return json.dumps({"apiVersion": version, "kind": kind, "metadata": named})


SPACE = resource("Namespace", "p-d")


def test_what_may_be_kept_has_its_path_and_the_mark_of_its_owner() -> None:
    """Labels that it has stay beside the mark."""
    texts = [SPACE, resource("ResourceQuota", "quota", "p-d", labels={"a": "b"})]
    (space, quota), problems = read_resources(texts)
    assert problems == []
    assert (space.path, quota.path) == ("/api/v1/namespaces/p-d", "/api/v1/namespaces/p-d/resourcequotas/quota")
    assert quota.body["metadata"]["labels"] == {"a": "b", MANAGED_BY: OWNER}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (resource("Secret", "s", "p-d"), "Secret of v1"),
        (resource("ClusterRoleBinding", "c", version="rbac.authorization.k8s.io/v1"), "ClusterRoleBinding"),
        (resource("ResourceQuota", "q", "kube-system"), "'kube-system' is not the platform's"),
        (resource("Namespace", "kube-system"), "namespace kube-system is the cluster's own"),
        (resource("ResourceQuota", "q"), "needs a namespace"),
        (resource("Namespace", "n", "p-d"), "has no namespace"),
        ("{}", "no Kubernetes resource"),
        ("[", "no Kubernetes resource"),
        ("null", "no Kubernetes resource"),
    ],
)
def test_what_may_not_be_kept_is_refused_and_the_rest_goes_on(text: str, why: str) -> None:
    """Secrets, cluster-wide rights, and namespaces that are not in the set are out of reach."""
    found, problems = read_resources([SPACE, text])
    assert [one.kind for one in found] == ["Namespace"]
    assert [why in one.message for one in problems] == [True]


def test_names_cannot_leave_their_collection() -> None:
    """A name with slashes in it is one segment of the path."""
    (_, account), _ = read_resources([SPACE, resource("ServiceAccount", "../secrets/x", "p-d")])
    assert account.path == "/api/v1/namespaces/p-d/serviceaccounts/..%2Fsecrets%2Fx"


@given(st.lists(st.text(max_size=50) | st.recursive(st.none() | st.text(max_size=5), st.lists).map(json.dumps)))
def test_any_text_is_kept_or_refused(texts: list[str]) -> None:
    """Nothing that comes over the link breaks it."""
    found, problems = read_resources(texts)
    assert len(found) + len(problems) >= len(texts)


class Cluster:
    """Fails as often as it is told, by the name of a resource."""

    def __init__(self, **failures: list[FlyteformError]) -> None:
        self.failures = failures
        self.applied: list[str] = []

    async def apply(self, resource: Resource) -> None:
        """Note it."""
        if left := self.failures.get(resource.name):
            raise left.pop(0)
        self.applied.append(str(resource))


async def test_a_cluster_is_tried_until_it_has_everything() -> None:
    """Errors are reported by resource, those that work are applied meanwhile, and success is reported once."""
    failing: list[FlyteformError] = [UnavailableError("away"), ConflictError("mine"), ConflictError("mine")]
    cluster = Cluster(quota=failing)
    syncer = ResourceSyncer(cluster, backoff=Backoff(0, 0), again=0)
    texts = [resource("ResourceQuota", "quota", "p-d"), SPACE, resource("LimitRange", "limits", "p-d")]
    async with aclosing(syncer.sync(ResourceSync(hash="h", resources=texts))) as reports:  # type: ignore[type-var]
        found = [await anext(reports) for _ in range(3)]
    assert [[error.message for error in one.errors] for one in found] == [["away"], ["mine"], []]
    assert [(one.hash, one.applied) for one in found] == [("h", 2), ("h", 2), ("h", 3)]
    assert found[0].errors[0].resource == "ResourceQuota/p-d/quota"
    assert cluster.applied[:2] == ["Namespace/p-d", "LimitRange/p-d/limits"]


async def test_what_was_right_is_looked_at_again() -> None:
    """Somebody may take away what was there: it is put back, and reported if that fails."""
    cluster = Cluster(quota=[])
    syncer = ResourceSyncer(cluster, backoff=Backoff(0, 0), again=0)
    texts = [SPACE, resource("ResourceQuota", "quota", "p-d")]
    async with aclosing(syncer.sync(ResourceSync(hash="h", resources=texts))) as reports:  # type: ignore[type-var]
        assert not (await anext(reports)).errors
        cluster.failures["quota"].append(UnavailableError("gone"))
        assert (await anext(reports)).errors
        assert not (await anext(reports)).errors
