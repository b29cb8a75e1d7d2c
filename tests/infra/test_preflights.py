"""What an account lacks is said before anything is made, and what is asked for only somewhere is made there."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from support.recording.stacks import stack_of

if TYPE_CHECKING:
    from support.recording.graph import Graph
    from support.recording.stacks import Recordings


def changed(recordings: Recordings, cloud: str, path: str, value: Any) -> Graph:
    """Record production's base with one field changed."""
    stack = stack_of(cloud, "prod-base")
    key = f"flyteform-{cloud}:platform"
    document = deepcopy(stack.settings[key])
    *parents, last = path.split(".")
    place = document
    for part in parents:
        place = place[part]
    place[last] = value
    return recordings.record(stack, f"{cloud}-{last}", changes={key: document})


@pytest.mark.parametrize(
    ("cloud", "path", "value", "told"),
    [
        ("aws", "aws.zones", ["a", "b", "f"], "no zone eu-west-1f: name 3 of a, b, c as aws.zones"),
        ("gcp", "gcp.zones", ["a", "b", "c"], "no zone europe-west1-a: name 3 of b, c, d as gcp.zones"),
        (
            "azure",
            "azure.quotas",
            {"standardDSv5Family": 9999, "standardNVFamily": 6},
            "azure.quotas.standardDSv5Family: 4096 vCPUs of the 9999 that are wanted",
        ),
    ],
)
def test_told(recordings: Recordings, cloud: str, path: str, value: Any, told: str) -> None:
    """The message says what is missing and what to do, shows no credential, and nothing was made that costs."""
    graph = changed(recordings, cloud, path, value)
    assert told in graph.failure
    assert "the-secret-of" not in graph.failure
    assert not [each.short for each in graph.resources if "luster" in each.type or "etwork" in each.type]


def test_allocation_tag(recordings: Recordings) -> None:
    """The account that pays splits its bill by the platform's tag."""
    graph = changed(recordings, "aws", "aws.costs", {"monthlyUsd": 20000, "allocationTag": True}).check()
    assert graph.one("costexplorer/costAllocationTag:CostAllocationTag").at("tagKey") == "platform"
