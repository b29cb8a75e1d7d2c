"""Where the time of an execution went, as a tree of spans (contract 1.4, GetExecutionMetrics).

A span names what it covers: an execution, a node, an attempt, or an operation such as NODE_SETUP, which is what the
platform itself took between them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flyteidl.core.compiler_pb2 import CompiledWorkflow
from flyteidl.core.metrics_pb2 import Span
from google.protobuf.timestamp_pb2 import Timestamp

from flyteform_controlplane.domain.identifiers import execution_id, node_execution_id, task_execution_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flyteidl.admin.node_execution_pb2 import NodeExecutionClosure
    from flyteidl.admin.task_execution_pb2 import TaskExecutionClosure
    from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
    from flyteidl.core.workflow_pb2 import Node

    from flyteform_controlplane.domain.records import ExecutionRecord, NodeExecutionRecord, TaskExecutionRecord

START, END = "start-node", "end-node"


@dataclass(frozen=True, slots=True)
class History:
    """All that is recorded of one execution.

    `dynamic` are the workflows that nodes made, by the number of the node's row; `launched` the executions that nodes
    started, by node id.
    """

    execution: ExecutionRecord
    workflow: CompiledWorkflowClosure
    nodes: Sequence[NodeExecutionRecord]
    attempts: Sequence[TaskExecutionRecord]
    dynamic: Mapping[int, CompiledWorkflowClosure] = field(default_factory=dict)
    launched: Mapping[str, History] = field(default_factory=dict)


def execution_span(history: History, depth: int) -> Span:
    """Return the execution's span with `depth` levels below it; a negative depth means all."""
    closure = history.execution.closure
    span = Span(start_time=closure.created_at, end_time=closure.updated_at, workflow_id=execution_id(history.execution))
    if depth:
        span.spans.extend(_Tree(history).execution(depth - 1))
    return span


class _Tree:
    """The spans below one execution."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._children: dict[int | None, list[NodeExecutionRecord]] = {}
        for node in history.nodes:
            if node.parent_task_execution_id is None:
                self._children.setdefault(node.parent_id, []).append(node)
        self._attempts: dict[str, list[TaskExecutionRecord]] = {}
        for attempt in sorted(history.attempts, key=lambda one: _order(one.closure.created_at)):
            self._attempts.setdefault(attempt.node_id, []).append(attempt)

    def execution(self, depth: int) -> list[Span]:
        closure = self._history.execution.closure
        top = self._children.get(None, [])
        begun = _begin(top)
        if begun is None:
            return [_operation("WORKFLOW_SETUP", closure.created_at, closure.updated_at)]
        setup = _operation("WORKFLOW_SETUP", closure.created_at, begun)
        workflow = self._history.workflow.primary
        teardown = _teardown("WORKFLOW_TEARDOWN", _last(top, workflow), closure.updated_at)
        return [setup, *self._level(top, self._history.workflow, workflow, depth), *teardown]

    def _level(
        self,
        nodes: Sequence[NodeExecutionRecord],
        closure: CompiledWorkflowClosure,
        workflow: CompiledWorkflow,
        depth: int,
    ) -> list[Span]:
        """Return the spans of nodes beside each other, each led by the time since what it waited for had ended."""
        by_name = {_name(node): node for node in nodes}
        templates = _templates(workflow.template.nodes)
        spans = []
        for node in sorted(nodes, key=lambda one: _order(one.closure.created_at)):
            if _name(node) in (START, END):
                continue
            span = self._node(node, closure, templates.get(_name(node)), depth)
            awaited = _latest(by_name[name] for name in _upstream(workflow, _name(node)) if name in by_name)
            if awaited is not None:
                transition = _operation("NODE_TRANSITION", awaited, node.closure.created_at)
                following = list(span.spans)
                span.ClearField("spans")
                span.spans.extend([transition, *following])
            spans.append(span)
        return spans

    def _node(
        self, node: NodeExecutionRecord, closure: CompiledWorkflowClosure, template: Node | None, depth: int
    ) -> Span:
        span = Span(
            start_time=node.closure.created_at, end_time=node.closure.updated_at, node_id=node_execution_id(node)
        )
        if depth:
            span.spans.extend(self._inside(node, closure, template, depth - 1))
        return span

    def _inside(
        self, node: NodeExecutionRecord, closure: CompiledWorkflowClosure, template: Node | None, depth: int
    ) -> list[Span]:
        """Return what a node's time was spent on; which kind of node it is shows in what it has left behind."""
        if template is not None and template.HasField("gate_node"):
            return _phases(node.closure, "NODE_SETUP", "NODE_IDLE", "NODE_TEARDOWN")
        if node.node_id in self._history.launched:
            return _launched(node, self._history.launched[node.node_id], depth)
        attempts = self._attempts.get(node.node_id, [])
        children = self._children.get(node.id, [])
        if attempts:
            return self._attempted(node, attempts, children, depth)
        begun = _begin(children)
        if begun is None:
            return [_operation("NODE_SETUP", node.closure.created_at, node.closure.updated_at)]
        within = _workflow_of(template, closure)
        return [
            _operation("NODE_SETUP", node.closure.created_at, begun),
            *self._level(children, closure, within, depth),
            *_teardown("NODE_TEARDOWN", _last(children, within), node.closure.updated_at),
        ]

    def _attempted(
        self,
        node: NodeExecutionRecord,
        attempts: Sequence[TaskExecutionRecord],
        children: Sequence[NodeExecutionRecord],
        depth: int,
    ) -> list[Span]:
        spans = [_operation("NODE_SETUP", node.closure.created_at, attempts[0].closure.created_at)]
        for before, attempt in zip([None, *attempts], attempts, strict=False):
            if before is not None:
                spans.append(_operation("NODE_RESET", before.closure.updated_at, attempt.closure.created_at))
            if depth:
                spans.append(_attempt(attempt))
        last, begun = attempts[-1].closure.updated_at, _begin(children)
        if begun is None:
            return [*spans, *_teardown("NODE_TEARDOWN", last, node.closure.updated_at)]
        spans.append(_operation("NODE_RESET", last, begun))
        made = self._history.dynamic.get(node.id, self._history.workflow)
        workflow = made.primary if node.id in self._history.dynamic else CompiledWorkflow()
        spans += self._level(children, made, workflow, depth)
        return [*spans, *_teardown("NODE_TEARDOWN", _last(children, workflow), node.closure.updated_at)]


def _launched(node: NodeExecutionRecord, history: History, depth: int) -> list[Span]:
    closure = history.execution.closure
    return [
        _operation("NODE_SETUP", node.closure.created_at, closure.created_at),
        execution_span(history, depth),
        *_teardown("NODE_TEARDOWN", closure.updated_at, node.closure.updated_at),
    ]


def _attempt(attempt: TaskExecutionRecord) -> Span:
    return Span(
        start_time=attempt.closure.created_at,
        end_time=attempt.closure.updated_at,
        task_id=task_execution_id(attempt),
        spans=_phases(attempt.closure, "TASK_SETUP", "TASK_RUNTIME", "TASK_TEARDOWN"),
    )


def _phases(closure: NodeExecutionClosure | TaskExecutionClosure, before: str, during: str, after: str) -> list[Span]:
    """Return the three parts of what runs by itself: those that it has reached."""
    if not closure.HasField("started_at"):
        return [_operation(before, closure.created_at, closure.updated_at)]
    setup = _operation(before, closure.created_at, closure.started_at)
    if not closure.duration.ByteSize():
        return [setup, _operation(during, closure.started_at, closure.updated_at)]
    nanos = closure.started_at.nanos + closure.duration.nanos
    seconds = closure.started_at.seconds + closure.duration.seconds + nanos // 1_000_000_000
    end = Timestamp(seconds=seconds, nanos=nanos % 1_000_000_000)
    return [setup, _operation(during, closure.started_at, end), *_teardown(after, end, closure.updated_at)]


def _operation(name: str, start: Timestamp, end: Timestamp) -> Span:
    return Span(start_time=start, end_time=end, operation_id=name)


def _teardown(name: str, start: Timestamp | None, end: Timestamp) -> list[Span]:
    """Return the time between the last thing and the end: none if the end is not recorded yet."""
    if start is None or _order(end) < _order(start):
        return []
    return [_operation(name, start, end)]


def _begin(nodes: Sequence[NodeExecutionRecord]) -> Timestamp | None:
    """Return when the nodes began: at the end of the start node, or where that is not reported, with the first."""
    start = next((node for node in nodes if _name(node) == START), None)
    if start is not None:
        return start.closure.updated_at
    return min((node.closure.created_at for node in nodes), key=_order, default=None)


def _last(nodes: Sequence[NodeExecutionRecord], workflow: CompiledWorkflow) -> Timestamp | None:
    """Return when the last node before the end node was done; without such edges, the last node of all."""
    ends = frozenset(_upstream(workflow, END))
    return _latest(node for node in nodes if _name(node) != END and (not ends or _name(node) in ends))


def _upstream(workflow: CompiledWorkflow, name: str) -> Sequence[str]:
    edges = workflow.connections.upstream
    # Asking a message's map for what it lacks would put it there.
    return edges[name].ids if name in edges else ()


def _latest(nodes: Iterable[NodeExecutionRecord]) -> Timestamp | None:
    return max((node.closure.updated_at for node in nodes), key=_order, default=None)


def _name(node: NodeExecutionRecord) -> str:
    """Return what the workflow calls the node."""
    return node.node_execution_metadata.spec_node_id or node.node_id


def _workflow_of(template: Node | None, closure: CompiledWorkflowClosure) -> CompiledWorkflow:
    """Return the sub-workflow that a node stands for; an empty one for branches and arrays."""
    if template is not None and template.workflow_node.HasField("sub_workflow_ref"):
        for workflow in closure.sub_workflows:
            if workflow.template.id == template.workflow_node.sub_workflow_ref:
                return workflow
    return CompiledWorkflow()


def _templates(nodes: Iterable[Node]) -> dict[str, Node]:
    """Return all nodes of a workflow by their ids, those within branches too."""
    found: dict[str, Node] = {}
    for node in nodes:
        found[node.id] = node
        if node.HasField("branch_node"):
            block = node.branch_node.if_else
            found |= _templates([block.case.then_node, *(one.then_node for one in block.other), block.else_node])
    return found


def _order(time: Timestamp) -> tuple[int, int]:
    return time.seconds, time.nanos
