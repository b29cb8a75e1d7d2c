"""Every recorded manifest of Kubernetes, strictly by Kubernetes' own schemas: unknown fields are refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml

from support.recording.stacks import ROOT, clouds, shipped

if TYPE_CHECKING:
    from support.recording.graph import Resource
    from support.recording.stacks import Recordings

VERSIONS = ("1.32", "1.37")  # the oldest that we support, and the newest whose schemas there are
CLOUDS = clouds()
STACKS = [(cloud, stack) for cloud in CLOUDS for stack in shipped(cloud)]
# Its definitions are Kubernetes' own, and come apart from it.
GATEWAYS = "gateway.networking.k8s.io"


def is_own(version: str) -> bool:
    """Tell whether a version is of a group of Kubernetes itself: the definitions of others the API server checks."""
    group = version.partition("/")[0]
    return "." not in group or (group.endswith(".k8s.io") and group != GATEWAYS)


def manifests(resources: list[Resource]) -> list[dict[str, Any]]:
    """Return those resources that are manifests."""
    return [each.inputs for each in resources if {"apiVersion", "kind"} <= set(each.inputs)]


@pytest.mark.parametrize(("cloud", "stack"), STACKS)
def test_manifests(recordings: Recordings, cloud: str, stack: str) -> None:
    """No manifest of Kubernetes' own kinds has an unknown field or a wrong type, in the oldest and newest version."""
    checked = 0
    for manifest in manifests(recordings.shipped(cloud, stack).resources):
        if not is_own(manifest["apiVersion"]):
            continue
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)
        checked += 1
    assert checked or stack.endswith(("base", "platform"))


def test_is_strict() -> None:
    """A misspelled field is refused: the check can fail."""
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dada": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSIONS[0], strict=True)


def test_stack_files_are_documented() -> None:
    """Every stack's file says in its first line what it is for."""
    for cloud, stack in STACKS:
        text = (Path(ROOT) / "stacks" / cloud / f"Pulumi.{stack}.yaml").read_text()
        assert text.startswith("# "), f"{cloud}/{stack}"
        assert yaml.safe_load(text)["config"]
