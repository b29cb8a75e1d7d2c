"""Operators as their own service accounts, with exactly the roles that an installation gives them."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING

import pytest
from flyteidl.core.execution_pb2 import WorkflowExecution

from flyteform.proto.flyteform.v1.link_pb2 import ResourceSync
from flyteform_dataplane.kubernetes.rbac import Account, Scope, operator_manifests, sync_manifests
from support.access import operator_rights
from support.kubernetes import get, kubectl
from support.operators import NAMESPACE, Operators, chain, install, lasting, uninstall, wide
from support.platform import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from support.leasing import LeasingControl
    from support.simulated import Simulated

logger = logging.getLogger(__name__)

SUCCEEDED, ABORTED = WorkflowExecution.SUCCEEDED, WorkflowExecution.ABORTED
PATIENCE = 120.0
CLUSTER_WIDE = Account("wide-operator", "default")
NARROW = Account("narrow-operator", "default")
SYNCING = Account("syncing-operator", "default")
LATER = "late-development"


class Impersonated:
    """Starts operators as a service account that has these manifests and nothing else."""

    def __init__(self, cluster: Simulated, control: LeasingControl, folder: Path) -> None:
        self._cluster = cluster
        self._control = control
        self._folder = folder
        self.operators: Operators

    def start(self, account: Account, manifests: list[dict[str, Any]], *arguments: str, number: int = 1) -> Operators:
        """Grant, and start operators in a namespace of restricted pods."""
        kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")
        for manifest in manifests:
            kubectl("apply", "-f", "-", given=manifest)
        config = self._cluster.kubeconfig_of(account.namespace, account.name, self._folder / "operator.kubeconfig")
        self.operators = Operators(self._folder, self._control.address, kubeconfig=config)
        for _ in range(number):
            self.operators.start(*arguments)
        return self.operators

    def complaints(self) -> list[str]:
        """Return what operators said of rights that they miss."""
        text = "".join(path.read_text() for path in self._folder.glob("operator-*.log"))
        return [line for line in text.splitlines() if "forbidden" in line]


@pytest.fixture
def impersonated(cluster: Simulated, control: LeasingControl, tmp_path: Path) -> Iterator[Impersonated]:
    """Return what starts operators with few rights; nothing of theirs is left afterwards."""
    made = Impersonated(cluster, control, tmp_path)
    yield made
    made.operators.stop()
    logger.info("\n".join((*made.operators.said(), kubectl("get", "pods,flyteworkflows", "--all-namespaces"))))
    uninstall()
    kubectl("wait", f"namespace/{NAMESPACE}", "--for=delete", "--timeout=60s")
    install()


async def work(operators: Operators, control: LeasingControl) -> None:
    """Have executions run, one of which is aborted."""
    control.offer([operators.lease(chain(3), "good"), operators.lease(wide(3), "wide"), lasting(operators, "stopped")])
    await control.until_ended(["good", "wide"], PATIENCE)
    control.abort("stopped", "enough")
    await control.until_ended(["stopped"], PATIENCE)
    assert control.phases == {"good": SUCCEEDED, "wide": SUCCEEDED, "stopped": ABORTED}
    listed = ("get", "pods", f"--namespace={NAMESPACE}", "--output=name")
    await asyncio.to_thread(
        wait_until, lambda: len(kubectl(*listed).split()) == 6, seconds=60, what="the stopped pods are gone"
    )


REFUSED = (
    ("create", "", "namespaces"),
    ("get", "", "secrets"),
    ("list", "", "secrets"),
    ("deletecollection", "", "pods"),
    ("create", "", "pods/exec"),
    ("create", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
    ("list", "coordination.k8s.io", "leases"),
    ("create", "ray.io", "rayjobs"),
)


@pytest.mark.timeout(400)
async def test_the_role_is_enough_and_no_more(impersonated: Impersonated, control: LeasingControl) -> None:
    """With rights in the whole cluster, an operator does its work and nothing else."""
    operators = impersonated.start(CLUSTER_WIDE, operator_rights(CLUSTER_WIDE))
    await work(operators, control)
    assert impersonated.complaints() == []
    for verb, group, what in REFUSED:
        assert not may(verb, what, group), f"it may {verb} {what}"
    assert may("create", "pods", namespace="anywhere")


@pytest.mark.timeout(400)
async def test_rights_in_one_namespace_are_enough_for_it(impersonated: Impersonated, control: LeasingControl) -> None:
    """With no right beyond its own namespace and that of executions, two operators share the work there."""
    kubectl("create", "namespace", "elsewhere")
    manifests = operator_manifests(NARROW, scope=Scope((NAMESPACE,)), plugins=["ray"])
    assert {each["kind"] for each in manifests} == {"ServiceAccount", "Role", "RoleBinding"}
    operators = impersonated.start(NARROW, manifests, f"--limit-namespace={NAMESPACE}", "--no-resource-sync", number=2)
    await work(operators, control)
    assert impersonated.complaints() == []
    for verb, group, what in REFUSED[:-1]:
        assert not may(verb, what, group, account=NARROW), f"it may {verb} {what}"
    for verb, what, group in (
        ("list", "pods", ""),
        ("create", "pods", ""),
        ("list", "flyteworkflows", "flyte.lyft.com"),
    ):
        assert may(verb, what, group, account=NARROW)
        for namespace in ("elsewhere", ""):
            assert not may(verb, what, group, namespace=namespace, account=NARROW), f"it may {verb} {what} elsewhere"
    assert may("create", "rayjobs", "ray.io", account=NARROW)
    for name, allowed in (("flyteform-operator", True), ("another", False)):
        asked = may("update", "leases", "coordination.k8s.io", name=name, namespace="default", account=NARROW)
        assert asked is allowed


def told_to_all() -> bool:
    """Say whether the lease that operators share names both namespaces."""
    annotations = get("lease", "flyteform-operator")["metadata"]["annotations"]
    return bool(annotations["flyteform.dev/namespaces"] == f"{LATER},{NAMESPACE}")


@pytest.mark.timeout(400)
async def test_a_namespace_that_the_sync_makes_is_worked_in(
    impersonated: Impersonated, control: LeasingControl
) -> None:
    """The sync, under the operators' own account, makes a namespace and binds them there: all of them look after it.

    A right that the account was not told to pass on is refused, and the report says so.
    """
    manifests = [
        *operator_rights(SYNCING, Scope((NAMESPACE,), later=True)),
        *sync_manifests(SYNCING, bound_roles=[SYNCING.name]),
    ]
    operators = impersonated.start(SYNCING, manifests, f"--limit-namespace={NAMESPACE}", number=2)
    binding = bound("operators", SYNCING.name)
    limits = {"kind": "LimitRange", "spec": {"limits": [{"type": "Container", "default": {"cpu": "20m"}}]}}
    rules = {"kind": "NetworkPolicy", "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}
    wanted = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": LATER}},
        within("v1", "quota", {"kind": "ResourceQuota", "spec": {"hard": {"pods": "100"}}}),
        within("v1", "limits", limits),
        within("v1", "worker", {"kind": "ServiceAccount"}),
        within("networking.k8s.io/v1", "closed", rules),
        binding,
        bound("masters", "cluster-admin"),
    ]
    control.sync(ResourceSync(hash="one", resources=[json.dumps(each) for each in wanted]))
    await asyncio.to_thread(wait_until, lambda: bool(control.reports), seconds=PATIENCE, what="the sync reports")
    assert control.reports[-1].applied == len(wanted) - 1
    (error,) = control.reports[-1].errors
    assert error.resource == f"RoleBinding/{LATER}/masters"
    assert "attempting to grant RBAC permissions not currently held" in error.message
    leases = [operators.lease(chain(2), f"late{number}") for number in range(8)]
    for lease in leases:
        lease.id.project, lease.id.domain = LATER.split("-")
    control.offer(leases)
    await control.until_ended([lease.id.name for lease in leases], PATIENCE)
    assert set(control.phases.values()) == {SUCCEEDED}
    await asyncio.to_thread(wait_until, told_to_all, seconds=PATIENCE, what="all operators are told of the namespace")
    for what, group in (("secrets", ""), ("pods", ""), ("flyteworkflows", "flyte.lyft.com")):
        assert not may("list", what, group, namespace="elsewhere", account=SYNCING)
    for verb, what, group in (
        ("delete", "namespaces", ""),
        ("delete", "resourcequotas", ""),
        ("create", "clusterrolebindings", "rbac.authorization.k8s.io"),
        ("create", "roles", "rbac.authorization.k8s.io"),
        ("update", "clusterroles", "rbac.authorization.k8s.io"),
    ):
        assert not may(verb, what, group, account=SYNCING), f"it may {verb} {what}"
    kubectl("delete", "namespace", LATER, "--wait=false")


def within(version: str, name: str, content: dict[str, Any]) -> dict[str, Any]:
    """Return a resource in the namespace that is made later."""
    return {"apiVersion": version, "metadata": {"name": name, "namespace": LATER}, **content}


def bound(name: str, role: str) -> dict[str, Any]:
    """Return what gives the operators a role in the namespace that is made later."""
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    return within(
        "rbac.authorization.k8s.io/v1",
        name,
        {"kind": "RoleBinding", "roleRef": reference, "subjects": [SYNCING.subject()]},
    )


def may(
    verb: str,
    what: str,
    group: str = "",
    *,
    name: str = "",
    namespace: str = NAMESPACE,
    account: Account = CLUSTER_WIDE,
) -> bool:
    """Ask the API server whether the account may do it; without a namespace, in all of them."""
    resource, _, subresource = what.partition("/")
    asked = {"verb": verb, "group": group, "resource": resource, "subresource": subresource, "name": name}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{account.namespace}:{account.name}",
            "resourceAttributes": {**asked, "namespace": namespace},
        },
    }
    answer = json.loads(kubectl("create", "-f", "-", "--output=json", given=review))
    return bool(answer["status"]["allowed"])
