"""A compiled workflow as the engine sees it: a flat table of its nodes and of all nodes below them."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from enum import Enum
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteidl.core.identifier_pb2 import Identifier
    from flyteidl.core.literals_pb2 import Binding
    from flyteidl.core.tasks_pb2 import TaskTemplate
    from flyteidl.core.workflow_pb2 import GateNode, IfElseBlock, WorkflowTemplate

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
    return name if len(name) <= _ID_LENGTH else hashed(name)


def hashed(name: str) -> str:
    """Return the FNV-1a hash of a name in the letters of Flyte's ids."""
    digest = _FNV_OFFSET
    for byte in name.encode():
        digest = (digest ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return "f" + base64.b32encode(digest.to_bytes(8)).decode().rstrip("=").lower()


class NodeKind(Enum):
    """What the engine does with a node."""

    START = "start"
    END = "end"
    TASK = "task"
    LAUNCH_PLAN = "launch plan"
    GATE = "gate"
    ARRAY = "array"
    WORKFLOW = "workflow"
    BRANCH = "branch"
    UNSUPPORTED = "unsupported"

    # There is one object of each: Python's own hashes the name of it each time.
    __hash__ = object.__hash__


# The kinds that do work of their own and so count against the parallelism of the execution.
WORKING = frozenset({NodeKind.TASK, NodeKind.LAUNCH_PLAN, NodeKind.ARRAY})
# The kinds that are one item, which is done by attempts. What an attempt is, is the node's work.
SINGLE = frozenset({NodeKind.TASK, NodeKind.LAUNCH_PLAN, NodeKind.GATE})
# The kinds whose nodes have nodes below them from the beginning; those of a dynamic task turn up when it has run.
PARENTS = frozenset({NodeKind.WORKFLOW, NodeKind.BRANCH})


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long things may take at most, in seconds, 0 for as long as they like (Flyte's `default-deadlines`).

    `attempt` holds for tasks that have no timeout of their own, `node` for a node with all its attempts and all that
    runs below it, `workflow` for an execution. `queue` is how long a task, a map or a child execution may wait from
    queueing until it is seen to run: for its turn, or for a machine.
    """

    attempt: float = 0.0
    node: float = 0.0
    workflow: float = 0.0
    queue: float = 0.0


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What the engine and its drivers know of one node.

    `id` is the unique node execution id, `spec_id` the node's id in its workflow. `parent` is the node that this one
    runs below and `scope` the sub-workflow node in whose workflow the ids of its bindings are (both `""` at the top).
    `work` is what an attempt of its items is: a task, a launch plan (a child execution) or a gate (a wait).
    `task` has the node's overrides applied. `timeout` is in seconds, 0 for none; with `sleeps` it is all that the node
    has to wait for. `interruptible` attempts may run where the machine can be taken away. `parallelism` 0 means
    unlimited; `min_success_ratio` counts when `min_successes` is None. `fail_immediately` is the policy for nodes
    below and `failure_node` the one of them that runs when they have failed. `cases` are those of a branch, whose
    `children` have their order, the else being the last one.
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
    work: NodeKind | None = None
    gate: GateNode | None = None
    sleeps: bool = False
    interruptible: bool = False
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


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Graph:
    """The nodes by their unique execution ids, and the settings of the execution that the engine needs.

    `workflows` has the workflow of each sub-workflow node, and the primary one under `""`. `refusal` is set when the
    workflow has something that this engine cannot run. `recoverable` are the nodes that succeeded in the execution
    which this one recovers; what runs below them does not matter then. `grown` has the dynamic nodes whose own nodes
    are known, and the attempt that made these. The graph only grows, and always to the same from the same files.
    """

    nodes: dict[str, NodeRecord]
    workflows: dict[str, WorkflowTemplate]
    grown: dict[str, int] = field(default_factory=dict)
    recoverable: set[str] = field(default_factory=set)
    fail_immediately: bool = True
    failure_node: str = ""
    max_parallelism: int = 0
    overwrite_cache: bool = False
    interruptible: bool | None = None
    deadlines: Deadlines = field(default_factory=Deadlines)
    refusal: Failure | None = None

    def inside(self, scope: str, spec_id: str) -> str:
        """Return the unique id of a node in the workflow of a scope (`""`: the primary one)."""
        return unique_id(scope, spec_id, self.grown.get(scope, 0))

    def copy(self) -> Graph:
        """Return one that grows by itself; the records of nodes, which never change, are the same ones."""
        return replace(
            self,
            nodes=dict(self.nodes),
            workflows=dict(self.workflows),
            grown=dict(self.grown),
            recoverable=set(self.recoverable),
        )

    def grow(self, growth: Growth) -> None:
        """Add what a dynamic task made; once more changes nothing."""
        self.nodes.update(growth.nodes)
        self.workflows.update(growth.workflows)
        self.grown[growth.node] = growth.attempt


@dataclass(frozen=True, slots=True)
class Growth:
    """The nodes that an attempt of a dynamic task made, together with the record of the task's node."""

    node: str
    attempt: int
    nodes: dict[str, NodeRecord]
    workflows: dict[str, WorkflowTemplate]
