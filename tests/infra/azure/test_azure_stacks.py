"""Platforms on Azure: whole graphs against golden files, and what production must have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.pulumi.wire import UNKNOWN
from support.recording.goldens import compare
from support.recording.stacks import shipped, stack_of

if TYPE_CHECKING:
    from support.recording.stacks import Recordings


@pytest.mark.parametrize("stack", shipped("azure"))
def test_golden(recordings: Recordings, stack: str) -> None:
    """The stack's resources are as its golden file says."""
    compare(recordings.shipped("azure", stack).check())


@pytest.mark.parametrize("stack", shipped("azure"))
def test_preview(recordings: Recordings, stack: str) -> None:
    """The first preview, with everything unknown, runs to its end."""
    recordings.shipped("azure", stack, preview=True).check()


def test_a_cluster_that_is_not_there_yet(recordings: Recordings) -> None:
    """A cluster whose issuer and keys are not known yet is declared all the same: the preview runs to its end."""
    stack = stack_of("azure", "prod-dataplane-azure")
    key = "flyteform-azure:platform"
    platform = {**stack.settings[key], "preset": "staging", "roles": ["base", "platform", "dataplane"]}
    platform["azure"] = {**platform["azure"], "administrators": ["00000000-0000-0000-0000-0000000000bb"]}
    graph = recordings.record(stack, "azure-first", preview=True, changes={key: platform})
    cluster = graph.check().one("index:Cluster")
    assert cluster.at("name") == "azure"
    assert UNKNOWN in str(cluster.inputs["spec"])
