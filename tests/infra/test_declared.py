"""Data planes that declare their cluster at a control plane of another stack, and those that must not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flyteform.provision import Cluster, ClusterIdentity, ClusterStorage
from flyteform.pulumi.declaring import cluster_spec
from support.recording.stacks import stack_of

if TYPE_CHECKING:
    from support.recording.graph import Graph
    from support.recording.stacks import Recordings

KEY = "flyteform-onprem:platform"
LOGIN = {"flyteform-onprem:controlPlaneSecret": {"secure": "v1:any"}}


def recorded(recordings: Recordings, label: str, plane: dict[str, Any], **more: Any) -> Graph:
    """Record a data plane with another configuration, and a login at its control plane."""
    stack = stack_of("onprem", "prod-dataplane-main")
    platform = stack.settings[KEY]
    changed = {**platform, **more, "dataplane": {**platform["dataplane"], **plane}}
    return recordings.record(stack, f"declared-{label}", changes={**LOGIN, KEY: changed})


@pytest.fixture(scope="module")
def declared(recordings: Recordings) -> Graph:
    """Return a stack that declares its cluster."""
    plane = {"name": "west", "declared": True, "labels": ["gpu", "eu"], "weight": 2.5}
    return recorded(recordings, "west", plane).check()


def test_declared(declared: Graph) -> None:
    """The cluster is declared with what its operator is and says, at the control plane that the operator calls."""
    cluster, platform = declared.one("index:Cluster"), declared.one("pulumi:providers:flyteform")
    operator = declared.one("Deployment", "flyteform-dataplane")
    pod = operator.at("spec.template.spec")
    told = pod["containers"][0]["args"]
    token = next(each for each in pod["volumes"] if each["name"] == "token")["projected"]["sources"][0]
    spec = cluster.at("spec")
    account = f"{operator.at('metadata.namespace')}:{pod['serviceAccountName']}"
    assert cluster.at("name") == told[told.index("--cluster") + 1] == "west"
    assert spec["identity"]["subject"] == f"system:serviceaccount:{account}"
    assert spec["identity"]["audience"] == token["serviceAccountToken"]["audience"]
    assert spec["storage"] == {"prefix": told[told.index("--objects") + 1]}
    assert (spec["labels"], spec["weight"]) == ({"gpu": 1, "eu": 1}, 2.5)
    assert f"grpcs://{platform.at('endpoint')}" == told[told.index("--control-plane") + 1]
    # Known before its operator calls, until that is gone.
    assert cluster.short in operator.dependencies


def test_the_login(declared: Graph) -> None:
    """The login is a secret of the configuration, and nothing but the provider has it."""
    platform = declared.one("pulumi:providers:flyteform")
    text = "the-secret-of-controlPlaneSecret"
    assert platform.is_secret("clientSecret")
    assert platform.at("clientSecret") == text
    assert [each.short for each in declared.resources if text in str(each.inputs)] == [platform.short]


def test_the_spec_is_what_the_provider_reads(declared: Graph) -> None:
    """What the program sends is what a declaration of the same cluster is."""
    spec = declared.one("index:Cluster").at("spec")
    said = Cluster(
        "west",
        labels=["gpu", "eu"],
        weight=2.5,
        identity=ClusterIdentity(**spec["identity"]),
        storage=ClusterStorage(**spec["storage"]),
    )
    assert cluster_spec(said) == spec


def test_not_declared(recordings: Recordings) -> None:
    """Without it the stack needs no login and has no provider of ours."""
    graph = recordings.shipped("onprem", "prod-dataplane-main").check()
    assert [
        each.short for each in graph.resources if each.type.endswith(("index:Cluster", "providers:flyteform"))
    ] == []


@pytest.mark.parametrize(
    ("plane", "more", "problem"),
    [
        ({"labels": ["eu"]}, {}, "dataplane.labels: nobody would know of them"),
        ({"weight": 2}, {}, "dataplane.weight: nobody would know of it"),
        (
            {"declared": True},
            {"roles": ["base", "controlplane", "dataplane"]},
            "dataplane.declared is for a data plane",
        ),
    ],
)
def test_refused(recordings: Recordings, plane: dict[str, Any], more: dict[str, Any], problem: str) -> None:
    """Labels that nobody would hear of, and a control plane that would have to be called before it is there."""
    assert problem in recorded(recordings, "refused", plane, **more).failure
