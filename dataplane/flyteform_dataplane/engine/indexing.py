"""Indexes a compiled workflow once, so that finishing a node touches its downstream nodes only."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from flyteidl.core.workflow_pb2 import WorkflowMetadata

from flyteform_dataplane.engine.failures import Failure
from flyteform_dataplane.engine.graph import (
    END_NODE,
    START_NODE,
    Deadlines,
    Graph,
    Growth,
    NodeKind,
    NodeRecord,
    unique_id,
)
from flyteform_dataplane.engine.tasks import array_settings, gate_settings, key_of_entity, node_settings, task_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flyteidl.core.compiler_pb2 import CompiledWorkflow, CompiledWorkflowClosure
    from flyteidl.core.workflow_pb2 import Node, WorkflowTemplate

    from flyteform_dataplane.engine.tasks import Key

# Sub-workflows that use each other twice at every level would fill any memory.
_LARGEST = 1_000_000
_TARGETS: dict[str | None, NodeKind] = {
    "task_node": NodeKind.TASK,
    "branch_node": NodeKind.BRANCH,
    "gate_node": NodeKind.GATE,
}
_REFERENCES: dict[str | None, NodeKind] = {
    "sub_workflow_ref": NodeKind.WORKFLOW,
    "launchplan_ref": NodeKind.LAUNCH_PLAN,
}
_MAPPED = (NodeKind.TASK, NodeKind.LAUNCH_PLAN)


def index_closure(
    closure: CompiledWorkflowClosure,
    *,
    max_parallelism: int = 0,
    overwrite_cache: bool = False,
    interruptible: bool | None = None,
    deadlines: Deadlines | None = None,
) -> Graph:
    """Index the primary workflow of the closure with all below it; `max_parallelism` 0 means unlimited.

    `interruptible` is the execution's own wish, which nodes and tasks may override; `deadlines` hold where they have
    none of their own.
    """
    deadlines = deadlines or Deadlines()
    indexer = _Indexer(closure, {}, interruptible=interruptible, attempt_seconds=deadlines.attempt)
    indexer.add_all(closure.primary, "", 0)
    return Graph(
        nodes=indexer.nodes,
        workflows=indexer.workflows,
        **_policies(closure.primary, ""),  # type: ignore[arg-type]
        max_parallelism=max_parallelism,
        overwrite_cache=overwrite_cache,
        interruptible=interruptible,
        deadlines=deadlines,
        refusal=indexer.refusal,
    )


def index_growth(graph: Graph, node: str, attempt: int, closure: CompiledWorkflowClosure) -> Growth | Failure:
    """Index what an attempt of a dynamic task made, as nodes below the task's; a failure if it cannot be run."""
    seconds = graph.deadlines.attempt
    indexer = _Indexer(closure, graph.nodes, interruptible=graph.interruptible, attempt_seconds=seconds)
    children = indexer.add_all(closure.primary, node, attempt)
    if indexer.refusal is not None:
        return indexer.refusal
    policies = _policies(closure.primary, node, attempt)
    parent = replace(graph.nodes[node], children=children, **policies)  # type: ignore[arg-type]
    return Growth(node, attempt, indexer.nodes | {node: parent}, indexer.workflows)


class _Indexer:
    """Fills the table of nodes. What cannot run is refused before anything has: a half-run workflow helps nobody."""

    def __init__(
        self,
        closure: CompiledWorkflowClosure,
        others: Mapping[str, NodeRecord],
        *,
        interruptible: bool | None,
        attempt_seconds: float,
    ) -> None:
        self._attempt_seconds = attempt_seconds
        self._others = others
        self._interruptible = interruptible
        self._tasks = {key_of_entity(task.template.id): task.template for task in closure.tasks}
        self._known = {key_of_entity(workflow.template.id): workflow for workflow in closure.sub_workflows}
        self.nodes: dict[str, NodeRecord] = {}
        self.workflows: dict[str, WorkflowTemplate] = {}
        self.refusal: Failure | None = None
        self._waiting: deque[tuple[CompiledWorkflow, str, int, tuple[Key, ...]]] = deque()

    def add_all(self, workflow: CompiledWorkflow, scope: str, attempt: int) -> tuple[str, ...]:
        """Add the nodes of a workflow and of all below it, one after the other: nothing limits how deep they nest.

        Returns the ids of the workflow's own nodes.
        """
        children = _inside_of(workflow, scope, attempt)
        self._waiting.append((workflow, scope, attempt, ()))
        while self._waiting:
            self._add_workflow(*self._waiting.popleft())
        return children

    def _add_workflow(self, workflow: CompiledWorkflow, scope: str, attempt: int, path: tuple[Key, ...]) -> None:
        template = workflow.template
        self.workflows[scope] = template
        names = {node.id: unique_id(scope, node.id, attempt) for node in template.nodes}
        if START_NODE not in names or END_NODE not in names:
            self._refuse(Failure("InvalidWorkflow", "the compiled workflow has no start node or no end node"))
        upstream, downstream = _edges(workflow, names)
        for node in template.nodes:
            edges = {"upstream": upstream.get(node.id, 0), "downstream": tuple(downstream.get(node.id, ()))}
            self._add(names[node.id], node, scope, scope, path, edges)
        if template.HasField("failure_node"):
            failure_node = template.failure_node
            self._add(unique_id(scope, failure_node.id, attempt), failure_node, scope, scope, path)

    def _add(
        self,
        name: str,
        node: Node,
        scope: str,
        parent: str,
        path: tuple[Key, ...],
        edges: dict[str, object] | None = None,
    ) -> str:
        if name in self.nodes or name in self._others or len(self.nodes) >= _LARGEST:
            self._refuse(Failure("InvalidWorkflow", f"the workflow has node {name} twice, or too many nodes"))
            return name
        kind = _kind(node)
        fields = (edges or {}) | {"scope": scope, "parent": parent, "bindings": node.inputs}
        record = NodeRecord(
            id=name,
            spec_id=node.id,
            name=node.metadata.name or node.id,
            kind=kind,
            **(fields | self._settings(node, kind, scope)),  # type: ignore[arg-type]
        )
        self.nodes[name] = record
        if kind is NodeKind.WORKFLOW:
            self._add_sub_workflow(node, record, path)
        elif kind is NodeKind.BRANCH:
            children = [self._add(unique_id(name, child.id), child, scope, name, path) for child in _taken(node)]
            self.nodes[name] = replace(record, children=tuple(children), cases=node.branch_node.if_else)
        return name

    def _settings(self, node: Node, kind: NodeKind, scope: str) -> dict[str, object]:
        match kind:
            case NodeKind.TASK | NodeKind.LAUNCH_PLAN:
                settings = self._work(node, scope)
            case NodeKind.ARRAY:
                inner = node.array_node.node
                settings = self._work(inner, scope) | array_settings(node.array_node)
                settings["bindings"] = node.inputs or inner.inputs
            case NodeKind.GATE:
                return gate_settings(node.gate_node, node.metadata)
            case NodeKind.END:
                return {"bindings": self.workflows[scope].outputs}
            case NodeKind.UNSUPPORTED:
                self._refuse(_unsupported(node.id, _describe(node)))
                return {}
            case _:
                return {}
        if "work" not in settings:
            message = f"node {node.id} refers to a task that its workflow does not carry"
            self._refuse(Failure("TaskReferenceNotFound", message))
        return settings

    def _work(self, node: Node, scope: str) -> dict[str, object]:
        """Return what the attempts of a node are, of a plain one or of the one inside of an array."""
        if node.WhichOneof("target") == "workflow_node":
            target = node.workflow_node.launchplan_ref
            return {"work": NodeKind.LAUNCH_PLAN, "target": target} | node_settings(node.metadata)
        defaults = self.workflows[scope].metadata_defaults
        interruptible = defaults.interruptible if self._interruptible is None else self._interruptible
        settings = task_settings(node.task_node, node.metadata, self._tasks, interruptible=interruptible)
        settings["timeout"] = settings.get("timeout") or self._attempt_seconds
        return settings

    def _add_sub_workflow(self, node: Node, record: NodeRecord, path: tuple[Key, ...]) -> None:
        reference = node.workflow_node.sub_workflow_ref
        key = key_of_entity(reference)
        workflow = self._known.get(key)
        if workflow is None or key in path:
            problem = "runs itself" if key in path else "is not carried by its workflow"
            message = f"node {node.id} refers to the sub-workflow {reference.name}, which {problem}"
            self._refuse(Failure("WorkflowReferenceNotFound", message))
            return
        policies = {"children": _inside_of(workflow, record.id, 0)} | _policies(workflow, record.id)
        self._waiting.append((workflow, record.id, 0, (*path, key)))
        self.nodes[record.id] = replace(record, **policies, target=reference)  # type: ignore[arg-type]

    def _refuse(self, failure: Failure) -> None:
        self.refusal = self.refusal or failure


def _inside_of(workflow: CompiledWorkflow, scope: str, attempt: int) -> tuple[str, ...]:
    """Return the unique ids of a workflow's nodes, the failure node's last."""
    template = workflow.template
    nodes = [*template.nodes, *([template.failure_node] if template.HasField("failure_node") else ())]
    return tuple(unique_id(scope, node.id, attempt) for node in nodes)


def _edges(workflow: CompiledWorkflow, names: dict[str, str]) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Return the number of nodes above each node and the unique ids of those below it."""
    upstream: dict[str, int] = {}
    downstream: dict[str, list[str]] = {}
    edges = workflow.connections.upstream
    above: dict[str, dict[str, None]] = {name: dict.fromkeys(ids.ids) for name, ids in edges.items() if name in names}
    for node in workflow.template.nodes:
        # What a node inside of a branch needs has to be there before the branch chooses.
        for inner in _inside(node):
            if inner.id in edges:
                above.setdefault(node.id, {}).update(dict.fromkeys(edges[inner.id].ids))
    for node_id in sorted(above):
        upstream[node_id] = len(above[node_id])
        for name in above[node_id]:
            downstream.setdefault(name, []).append(names[node_id])
    return upstream, downstream


def _taken(branch: Node) -> Iterator[Node]:
    """Yield the nodes of a branch's cases, the else's last."""
    block = branch.branch_node.if_else
    yield block.case.then_node
    for case in block.other:
        yield case.then_node
    if block.WhichOneof("default") == "else_node":
        yield block.else_node


def _inside(node: Node) -> Iterator[Node]:
    """Yield the nodes inside of a branch, and inside of branches in it."""
    if node.WhichOneof("target") == "branch_node":
        for child in _taken(node):
            yield child
            yield from _inside(child)


def _kind(node: Node) -> NodeKind:
    if node.id in (START_NODE, END_NODE):
        return NodeKind.START if node.id == START_NODE else NodeKind.END
    target = node.WhichOneof("target")
    if target == "array_node":
        return NodeKind.ARRAY if _kind(node.array_node.node) in _MAPPED else NodeKind.UNSUPPORTED
    if target == "workflow_node":
        return _REFERENCES.get(node.workflow_node.WhichOneof("reference"), NodeKind.UNSUPPORTED)
    return _TARGETS.get(target, NodeKind.UNSUPPORTED)


def _policies(workflow: CompiledWorkflow, scope: str, attempt: int = 0) -> dict[str, object]:
    template = workflow.template
    return {
        "fail_immediately": template.metadata.on_failure == WorkflowMetadata.FAIL_IMMEDIATELY,
        "failure_node": unique_id(scope, template.failure_node.id, attempt)
        if template.HasField("failure_node")
        else "",
    }


def _unsupported(node: str, kind: str) -> Failure:
    return Failure("UnsupportedNodeKind", f"node {node} is {kind}, which this data plane cannot run yet")


def _describe(node: Node) -> str:
    target = node.WhichOneof("target")
    if target == "array_node":
        return f"a map over {_describe(node.array_node.node)}"
    return f"a {target.removesuffix('_node')} node" if target else "a node without a target"
