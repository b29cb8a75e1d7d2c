"""What stacks let an operator do is what operators were tested with, on a real API server and impersonated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flyteform_dataplane.kubernetes.rbac import Account, Scope, operator_manifests
from support.access import bare, operator_rights
from support.recording.stacks import clouds, shipped, stack_of

if TYPE_CHECKING:
    from support.recording.graph import Graph
    from support.recording.stacks import Recordings

CLOUDS = clouds()
PLANES = [(cloud, stack) for cloud in CLOUDS for stack in shipped(cloud) if "dataplane" in stack or stack == "dev"]

ACCOUNT = Account("flyteform-dataplane", "flyteform-dataplane")


def granted(graph: Graph) -> list[dict[str, object]]:
    """Return the roles and bindings of operators, as the stack makes them."""
    return bare(
        each.inputs
        for each in graph.resources
        if each.type.startswith("kubernetes:rbac.")
        and each.inputs["metadata"]["labels"]["app.kubernetes.io/component"] == "dataplane"
    )


@pytest.mark.parametrize(("cloud", "stack"), PLANES)
def test_rights(recordings: Recordings, cloud: str, stack: str) -> None:
    """Operators of a stack have the rights under which they were tested, no more and no less."""
    assert granted(recordings.shipped(cloud, stack).check()) == bare(operator_rights(ACCOUNT))


def changed(recordings: Recordings, label: str, **changes: object) -> Graph:
    """Record a data plane with another configuration."""
    stack = stack_of("onprem", "prod-dataplane-main")
    key = "flyteform-onprem:platform"
    platform = stack.settings[key]
    platform["dataplane"] = {**platform["dataplane"], **changes}
    return recordings.record(stack, f"access-{label}", changes={key: platform})


def test_rights_in_projects_alone(recordings: Recordings) -> None:
    """With rights in the projects' namespaces they are those that were tested so, and the operator looks nowhere else.

    Its roles come after the namespaces that they are in.
    """
    graph = changed(recordings, "projects", scope="projects").check()
    names = ("research-development", "research-production")
    assert granted(graph) == bare(operator_rights(ACCOUNT, Scope(names)))
    assert graph.of("ClusterRole") == []
    told = graph.one("Deployment", "flyteform-dataplane").at("spec.template.spec.containers[0].args")
    assert [each for each in told if each.startswith("--limit-")] == [f"--limit-namespace={each}" for each in names]
    role = graph.one("Role", "research-production-flyteform-dataplane")
    assert "kubernetes:core/v1:Namespace project-research-production" in role.dependencies


def test_plugins(recordings: Recordings) -> None:
    """A plugin adds its jobs' resources and nothing else; one that there is not is an error with the field's path."""
    graph = changed(recordings, "plugins", plugins=["ray"]).check()
    assert granted(graph) == bare(operator_manifests(ACCOUNT, plugins=["ray"]))
    refused = changed(recordings, "unknown", plugins=["rai"])
    assert "platform.dataplane.plugins: there is no rai: use some of dask, kubeflow, ray, spark" in refused.failure


def test_the_account_is_the_one_that_pods_have(recordings: Recordings) -> None:
    """The rights are bound to the account of the operator's pods."""
    graph = recordings.shipped("onprem", "prod-dataplane-main").check()
    pods = graph.one("Deployment", "flyteform-dataplane").at("spec.template.spec")
    [subject] = graph.one("ClusterRoleBinding").at("subjects")
    assert subject["name"] == pods["serviceAccountName"]
    assert pods["automountServiceAccountToken"] is True
