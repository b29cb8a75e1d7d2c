"""A compiled workflow, indexed once, so that finishing a node touches its downstream nodes only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from math import ceil
from typing import TYPE_CHECKING

from flyteidl.core.tasks_pb2 import TaskTemplate
from flyteidl.core.workflow_pb2 import WorkflowMetadata

from flyteform_dataplane.engine.failures import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flyteidl.core.compiler_pb2 import CompiledWorkflow, CompiledWorkflowClosure
    from flyteidl.core.identifier_pb2 import Identifier
    from flyteidl.core.literals_pb2 import Binding
    from flyteidl.core.workflow_pb2 import ArrayNode, Node, NodeMetadata, TaskNode, TaskNodeOverrides

START_NODE = "start-node"
END_NODE = "end-node"


class NodeKind(Enum):
    """What the engine does with a node."""

    START = "start"
    END = "end"
    TASK = "task"
    ARRAY = "array"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What the engine and its drivers know of one node.

    `id` is the unique node execution id, `spec_id` the node's id in its workflow: they differ for nodes that come
    into being at run time. `task` has the node's overrides applied. `timeout` is in seconds, 0 for none;
    `parallelism` 0 means unlimited; `min_success_ratio` counts when `min_successes` is None.
    """

    id: str
    spec_id: str
    name: str
    kind: NodeKind
    bindings: Sequence[Binding]
    upstream: int = 0
    downstream: tuple[str, ...] = ()
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

    `refusal` is set when the workflow has something that this engine cannot run.
    """

    nodes: Mapping[str, NodeRecord]
    outputs: Sequence[Binding] = field(default_factory=tuple)
    fail_immediately: bool = True
    max_parallelism: int = 0
    overwrite_cache: bool = False
    refusal: Failure | None = None


def index_closure(
    closure: CompiledWorkflowClosure, *, max_parallelism: int = 0, overwrite_cache: bool = False
) -> Graph:
    """Index the primary workflow of the closure; `max_parallelism` 0 means unlimited."""
    workflow = closure.primary
    tasks = {_key(task.template.id): task.template for task in closure.tasks}
    upstream, downstream = _edges(workflow)
    nodes: dict[str, NodeRecord] = {}
    for node in workflow.template.nodes:
        edges = len(upstream.get(node.id, ())), tuple(downstream.get(node.id, ()))
        nodes[node.id] = _record(node, *edges, workflow.template.outputs, tasks)
    policy = workflow.template.metadata.on_failure
    return Graph(
        nodes=nodes,
        outputs=workflow.template.outputs,
        fail_immediately=policy == WorkflowMetadata.FAIL_IMMEDIATELY,
        max_parallelism=max_parallelism,
        overwrite_cache=overwrite_cache,
        refusal=_refusal(workflow, nodes),
    )


def _edges(workflow: CompiledWorkflow) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    upstream = {name: list(dict.fromkeys(ids.ids)) for name, ids in workflow.connections.upstream.items()}
    downstream: dict[str, list[str]] = {}
    for name in sorted(upstream):
        for above in upstream[name]:
            downstream.setdefault(above, []).append(name)
    return upstream, downstream


def _record(
    node: Node,
    upstream: int,
    downstream: tuple[str, ...],
    outputs: Sequence[Binding],
    tasks: Mapping[tuple[str, ...], TaskTemplate],
) -> NodeRecord:
    kind = _kind(node)
    common = {"id": node.id, "spec_id": node.id, "name": node.metadata.name or node.id, "kind": kind}
    edges = {"upstream": upstream, "downstream": downstream}
    if kind is NodeKind.TASK:
        settings = _task_settings(node.task_node, node.metadata, tasks)
        return NodeRecord(**common, **edges, bindings=node.inputs, **settings)  # type: ignore[arg-type]
    if kind is NodeKind.ARRAY:
        array, inner = node.array_node, node.array_node.node
        settings = _task_settings(inner.task_node, inner.metadata, tasks) | _array_settings(array)
        bindings = node.inputs or inner.inputs
        return NodeRecord(**common, **edges, bindings=bindings, **settings)  # type: ignore[arg-type]
    return NodeRecord(**common, **edges, bindings=outputs if kind is NodeKind.END else node.inputs)  # type: ignore[arg-type]


def _kind(node: Node) -> NodeKind:
    if node.id == START_NODE:
        return NodeKind.START
    if node.id == END_NODE:
        return NodeKind.END
    match node.WhichOneof("target"):
        case "task_node":
            return NodeKind.TASK
        case "array_node" if node.array_node.node.WhichOneof("target") == "task_node":
            return NodeKind.ARRAY
        case _:
            return NodeKind.UNSUPPORTED


def _task_settings(
    node: TaskNode, metadata: NodeMetadata, tasks: Mapping[tuple[str, ...], TaskTemplate]
) -> dict[str, object]:
    template = tasks.get(_key(node.reference_id))
    if template is None:
        return {}  # refused by `_refusal`
    task = _overridden(template, node.overrides, metadata)
    settings = task.metadata
    timeout = (metadata if metadata.HasField("timeout") else settings).timeout
    return {
        "task": task,
        # The node's own strategy counts when it says anything, as in Flyte.
        "retries": metadata.retries.retries or settings.retries.retries,
        # A result without outputs is nothing that a cache could give back.
        "cacheable": settings.discoverable and bool(task.interface.outputs.variables),
        "timeout": timeout.seconds + timeout.nanos / 1e9,
    }


def _overridden(template: TaskTemplate, overrides: TaskNodeOverrides, metadata: NodeMetadata) -> TaskTemplate:
    task = TaskTemplate()
    task.CopyFrom(template)
    for entries in ("requests", "limits"):
        if given := getattr(overrides.resources, entries):
            _replace_resources(getattr(task.container.resources, entries), given)
    if overrides.container_image:
        task.container.image = overrides.container_image
    if metadata.WhichOneof("cacheable_value"):
        task.metadata.discoverable = metadata.cacheable
    if metadata.WhichOneof("cache_version_value"):
        task.metadata.discovery_version = metadata.cache_version
    return task


def _replace_resources(entries: list[object], given: Iterable[object]) -> None:
    by_name = {entry.name: entry for entry in (*entries, *given)}  # type: ignore[attr-defined]
    kept = [by_name[name] for name in sorted(by_name)]
    del entries[:]
    entries.extend(kept)


def _array_settings(array: ArrayNode) -> dict[str, object]:
    counted = array.WhichOneof("success_criteria")
    return {
        "parallelism": array.parallelism,
        "min_successes": array.min_successes if counted == "min_successes" else None,
        "min_success_ratio": array.min_success_ratio if counted == "min_success_ratio" else 1.0,
        "bound_inputs": frozenset(array.bound_inputs),
        "run_all_items": array.run_all_sub_nodes,
    }


def _refusal(workflow: CompiledWorkflow, nodes: Mapping[str, NodeRecord]) -> Failure | None:
    """Say at the start what cannot run, before anything has: a half-run workflow helps nobody."""
    for node in workflow.template.nodes:
        record = nodes[node.id]
        if record.kind is NodeKind.UNSUPPORTED:
            return _unsupported(node.id, _describe(node))
        if record.kind in (NodeKind.TASK, NodeKind.ARRAY) and record.task is None:
            return Failure("TaskReferenceNotFound", f"node {node.id} refers to a task that its workflow does not carry")
    if workflow.template.HasField("failure_node"):
        return _unsupported(workflow.template.failure_node.id, "a failure node")
    if START_NODE not in nodes or END_NODE not in nodes:
        return Failure("InvalidWorkflow", "the compiled workflow has no start node or no end node")
    return None


def _unsupported(node: str, kind: str) -> Failure:
    return Failure("UnsupportedNodeKind", f"node {node} is {kind}, which this data plane cannot run yet")


def _describe(node: Node) -> str:
    target = node.WhichOneof("target")
    if target == "array_node":
        return f"a map over {_describe(node.array_node.node)}"
    if target == "workflow_node":
        launch_plan = node.workflow_node.WhichOneof("reference") == "launchplan_ref"
        return "a launch plan node" if launch_plan else "a sub-workflow node"
    return f"a {target.removesuffix('_node')} node" if target else "a node without a target"


def _key(identifier: Identifier) -> tuple[str, ...]:
    return (identifier.project, identifier.domain, identifier.name, identifier.version)
