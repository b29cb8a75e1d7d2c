"""A compiled workflow as the engine sees it: a flat table of its nodes and of all nodes below them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from enum import Enum
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyteidl.core.identifier_pb2 import Identifier
    from flyteidl.core.literals_pb2 import Binding
    from flyteidl.core.tasks_pb2 import TaskTemplate
    from flyteidl.core.workflow_pb2 import IfElseBlock, WorkflowTemplate

    from flyteform_dataplane.engine.failures import Failure

START_NODE = "start-node"
END_NODE = "end-node"

# Flyte's: a longer id becomes a hash.
_ID_LENGTH = 20
_FNV_OFFSET, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


def unique_id(parent: str, spec_id: str, attempt: int = 0) -> str:
    """Return the id of a node execution below another (`""`: below none), as Flyte makes it: `n0-0-n1`.

    One that is too long becomes a hash of 64 bits: Flyte's 32 would let two nodes of a large workflow collide.
    """
    if not parent:
        return spec_id
    name = f"{parent}-{attempt}-{spec_id}"
    if len(name) <= _ID_LENGTH:
        return name
    digest = _FNV_OFFSET
    for byte in name.encode():
        digest = (digest ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return "f" + base64.b32encode(digest.to_bytes(8)).decode().rstrip("=").lower()


class NodeKind(Enum):
    """What the engine does with a node."""

    START = "start"
    END = "end"
    TASK = "task"
    ARRAY = "array"
    WORKFLOW = "workflow"
    BRANCH = "branch"
    UNSUPPORTED = "unsupported"


# The kinds that do work of their own and so count against the parallelism of the execution.
WORKING = frozenset({NodeKind.TASK, NodeKind.ARRAY})
# The kinds whose nodes have nodes below them.
PARENTS = frozenset({NodeKind.WORKFLOW, NodeKind.BRANCH})


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What the engine and its drivers know of one node.

    `id` is the unique node execution id, `spec_id` the node's id in its workflow. `parent` is the node that this one
    runs below and `scope` the sub-workflow node in whose workflow the ids of its bindings are (both `""` at the top).
    `task` has the node's overrides applied. `timeout` is in seconds, 0 for none; `parallelism` 0 means unlimited;
    `min_success_ratio` counts when `min_successes` is None. `fail_immediately` is the policy for nodes below and
    `failure_node` the one of them that runs when they have failed.
    `cases` are those of a branch, whose `children` have their order, the else being the last one.
    """

    id: str
    spec_id: str
    name: str
    kind: NodeKind
    bindings: Sequence[Binding]
    upstream: int = 0
    downstream: tuple[str, ...] = ()
    scope: str = ""
    parent: str = ""
    children: tuple[str, ...] = ()
    fail_immediately: bool = True
    failure_node: str = ""
    target: Identifier | None = None
    cases: IfElseBlock | None = None
    task: TaskTemplate | None = None
    retries: int = 0
    cacheable: bool = False
    timeout: float = 0.0
    parallelism: int = 0
    min_successes: int | None = None
    min_success_ratio: float = 1.0
    bound_inputs: frozenset[str] = frozenset()
    run_all_items: bool = False

    def required_successes(self, size: int) -> int:
        """How many of `size` items have to succeed."""
        if self.min_successes is not None:
            return min(self.min_successes, size)
        # Rounded first: 0.07 * 100 is a little more than 7.
        return min(ceil(round(self.min_success_ratio * size, 9)), size)


@dataclass(frozen=True, slots=True)
class Graph:
    """The nodes by their unique execution ids, and the settings of the execution that the engine needs.

    `workflows` has the workflow of each sub-workflow node, and the primary one under `""`. `refusal` is set when the
    workflow has something that this engine cannot run.
    """

    nodes: Mapping[str, NodeRecord]
    workflows: Mapping[str, WorkflowTemplate]
    fail_immediately: bool = True
    failure_node: str = ""
    max_parallelism: int = 0
    overwrite_cache: bool = False
    refusal: Failure | None = None
