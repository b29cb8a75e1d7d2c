"""Sub-workflows of this SDK on a real data plane: outputs, the tree of nodes, failure from below."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.platform import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.platform import Platform

WORKFLOW = Path(__file__).parent / "workflows" / "nesting.py"
SCOPE = "flytesnacks/development"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Give a platform of its own to the tests of this module."""
    with running(tmp_path_factory.mktemp("nesting")) as started:
        yield started


def children(platform: Platform, execution: str, parent: str = "") -> dict[str, tuple[str, str]]:
    """Return the node executions below one, by their unique ids: the id in the workflow, and the phase."""
    query = f"?limit=99&unique_parent_id={parent}"
    answer = json.loads(platform.get(f"/api/v1/node_executions/{SCOPE}/{execution}{query}"))
    return {
        node["id"]["node_id"]: (node["metadata"]["spec_node_id"], node["closure"]["phase"])
        for node in answer["node_executions"]
        if node["metadata"]["spec_node_id"] not in ("start-node", "end-node")
    }


def test_outputs_and_the_tree_of_nodes(platform: Platform) -> None:
    """Values flow through two levels of sub-workflows; each node execution is listed below its parent only."""
    done = platform.run("run", "--remote", "--name", "good", str(WORKFLOW), "outer", "--a", "5")
    assert done.returncode == 0, done.stderr
    assert "132" in done.stdout
    top = children(platform, "good")
    assert sorted(spec for spec, _ in top.values()) == sorted(top)
    assert {phase for _, phase in top.values()} == {"SUCCEEDED"}
    sizes = sorted(len(children(platform, "good", node)) for node in top)
    assert sizes == [0, 2, 2]
    (middle,) = (node for node in top if any(children(platform, "good", n) for n in children(platform, "good", node)))
    below = children(platform, "good", middle)
    assert all(unique == f"{middle}-0-{spec}" for unique, (spec, _) in below.items())


def test_a_failure_comes_up_from_below(platform: Platform) -> None:
    """The error of a task in a sub-workflow is the execution's; every node around it has failed."""
    done = platform.run("run", "--remote", "--name", "bad", str(WORKFLOW), "outer", "--a", "5000")
    assert done.returncode == 1
    assert "5000 is too large" in done.stderr
    phases = {phase for _, phase in children(platform, "bad").values()}
    assert "FAILED" in phases
    assert phases <= {"FAILED", "ABORTED"}
