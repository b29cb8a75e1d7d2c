"""Data of production: whatever holds some is protected, and no secret is in the open, in every stack of every cloud."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from support.recording.graph import Secret
from support.recording.stacks import ROOT, shipped

if TYPE_CHECKING:
    from support.recording.stacks import Recordings

CLOUDS = ("aws", "gcp", "azure", "onprem")
STACKS = [(cloud, stack) for cloud in CLOUDS for stack in shipped(cloud)]
PRODUCTION = [(cloud, stack) for cloud, stack in STACKS if stack.startswith("prod")]
# What types are called that hold data: a new one is found by its name, and has to be protected or have its reason here.
HOLDS = re.compile(
    r"(Bucket|Database|DatabaseInstance|Instance|CryptoKey|KeyRing|Key|Vault|(?<!External)Secret|Repository|Registry|StorageAccount"
    r"|BlobContainer|Server|FlexibleServer|Volume|Disk|FileSystem|(?<!Route)Table|Workspace|StatefulSet|CephCluster)$"
)
REASONS = {
    ("aws:s3/bucket:Bucket", "logs"): "the access logs of the buckets, written anew each day",
    ("aws:grafana/workspace:Workspace", "dashboards"): "it shows what others hold",
    ("gcp:kms/keyRing:KeyRing", "keys"): "Google never deletes one; its keys are protected",
    ("gcp:artifactregistry/repository:Repository", "public"): "copies of public images",
}
KUBERNETES = "kubernetes:core/v1:Secret"


@pytest.mark.parametrize(("cloud", "stack"), PRODUCTION)
def test_protected(recordings: Recordings, cloud: str, stack: str) -> None:
    """Nothing that holds data of production is deleted by a slip of the hand."""
    open_ = [
        each.short
        for each in recordings.shipped(cloud, stack).resources
        if HOLDS.search(each.type)
        and each.type != KUBERNETES
        and not each.protect
        and (each.type, each.name) not in REASONS
    ]
    assert open_ == []


@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])
def test_something_is_found(recordings: Recordings, cloud: str) -> None:
    """The rule above is about something in each cloud: databases, objects and keys at least."""
    found = {each.type for each in recordings.shipped(cloud, "prod-base").resources if HOLDS.search(each.type)}
    assert len(found) >= 5, found


@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])
def test_development_goes(recordings: Recordings, cloud: str) -> None:
    """What is stood up to be taken down again is not protected."""
    kept = [each for each in recordings.shipped(cloud, "dev").resources if each.protect]
    assert {each.type.rpartition(":")[2] for each in kept} <= {"CustomResourceDefinition"}


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_emptied(recordings: Recordings, cloud: str) -> None:
    """A development platform is taken down with what is in its buckets; no other one is."""
    for stack, emptied in (("dev", True), ("staging", False), ("prod-base", False)):
        buckets = [each for each in recordings.shipped(cloud, stack).resources if each.type.endswith(":Bucket")]
        assert {bool(each.at("forceDestroy")) for each in buckets} == {emptied}, stack


def clear(value: Any) -> str:
    """Return what is not secret of a value, as text."""
    match value:
        case Secret():
            return ""
        case dict():
            return " ".join(map(clear, value.values()))
        case list():
            return " ".join(map(clear, value))
        case _:
            return str(value)


@pytest.mark.parametrize(("cloud", "stack"), STACKS)
def test_secrets(recordings: Recordings, cloud: str, stack: str) -> None:
    """Outputs and inputs that are secret are marked so, and each provider of a cluster has a secret kubeconfig."""
    graph = recordings.shipped(cloud, stack)
    assert "the-secret-of" not in clear(graph.marked_outputs)
    for resource in graph.resources:
        assert "the-secret-of" not in clear(resource.marked), resource.short
    for provider in graph.of("providers:kubernetes"):
        assert stack.startswith(("dev", "staging")) or provider.is_secret("kubeconfig"), provider.short
    if "foundation" in graph.marked_outputs:
        assert isinstance(graph.marked_outputs["foundationSecrets"], Secret)
        assert "kubeconfig" not in str(graph.marked_outputs["foundation"])


def test_goldens_show_no_secret() -> None:
    """Golden files, which everybody reads, show made-up values alone."""
    for path in (ROOT / "tests" / "infra" / "goldens").rglob("*.yaml"):
        assert "PRIVATE KEY" not in path.read_text(), path
