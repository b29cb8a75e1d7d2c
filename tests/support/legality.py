"""FlyteAdmin's rules for events, as the contract states them, over the messages that a data plane sends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flyteidl.core.execution_pb2 import NodeExecution, TaskExecution, WorkflowExecution

if TYPE_CHECKING:
    from flyteform.proto.flyteform.v1.events_pb2 import Event

_WORKFLOW_ENDS = {
    WorkflowExecution.SUCCEEDED,
    WorkflowExecution.FAILED,
    WorkflowExecution.ABORTED,
    WorkflowExecution.TIMED_OUT,
}
_NODE_ENDS = {
    NodeExecution.SUCCEEDED,
    NodeExecution.FAILED,
    NodeExecution.TIMED_OUT,
    NodeExecution.ABORTED,
    NodeExecution.SKIPPED,
    NodeExecution.RECOVERED,
}
_TASK_ENDS = {TaskExecution.SUCCEEDED, TaskExecution.FAILED, TaskExecution.ABORTED}


@dataclass
class AdminRows:
    """The rows of one execution; `take` fails on an event that FlyteAdmin would refuse.

    An event whose number was seen before is a re-sent one and is let pass, as its answer changes nothing.
    """

    workflow: int = WorkflowExecution.QUEUED
    nodes: dict[str, int] = field(default_factory=dict)
    tasks: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    items: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    dynamic: set[str] = field(default_factory=set)
    last: int = 0

    def take(self, number: int, event: Event) -> None:
        """Apply one event."""
        if number <= self.last:
            return
        self.last = number
        kind = event.WhichOneof("event")
        if kind == "workflow":
            self._workflow(event.workflow.event.phase)
        elif kind == "node":
            node = event.node.event
            self._node(node.id.node_id, node.phase, node.parent_node_metadata.node_id)
        else:
            self._task(event)

    def check_end(self) -> None:
        """Fail unless the execution, and all that it reported of, has ended."""
        assert self.workflow in _WORKFLOW_ENDS
        assert not {node: phase for node, phase in self.nodes.items() if phase not in _NODE_ENDS}
        ends = _TASK_ENDS | {TaskExecution.RETRYABLE_FAILED}
        assert not {task: phase for task, (phase, _) in self.tasks.items() if phase not in ends}

    def _workflow(self, phase: int) -> None:
        assert self.workflow not in _WORKFLOW_ENDS, "an event after the end of the execution"
        assert phase != self.workflow, "the execution is in that phase already"
        assert not (self.workflow == WorkflowExecution.RUNNING and phase == WorkflowExecution.QUEUED)
        self.workflow = phase

    def _node(self, node: str, phase: int, parent: str) -> None:
        before = self.nodes.get(node)
        assert self.parents.setdefault(node, parent) == parent, f"{node} changed its parent"
        if parent:
            assert parent in self.nodes, f"{node} before any event of its parent {parent}"
            assert self.nodes[parent] not in _NODE_ENDS, f"{node} after the end of its parent {parent}"
        assert self.workflow not in _WORKFLOW_ENDS, f"{node} after the end of the execution"
        assert before not in _NODE_ENDS, f"{node} after its end"
        assert phase != before, f"{node} is in that phase already"
        assert not (before == NodeExecution.RUNNING and phase == NodeExecution.QUEUED)
        if phase == NodeExecution.DYNAMIC_RUNNING:
            self.dynamic.add(node)
        self.nodes[node] = phase

    def _task(self, event: Event) -> None:
        task = event.task.event
        node = task.parent_node_execution_id.node_id
        assert task.task_id.name, f"a task event of {node} without a task"
        assert node in self.nodes, f"a task event before any of node {node}"
        assert self.nodes[node] not in _NODE_ENDS, f"a task event after the end of node {node}"
        key = node, task.retry_attempt
        phase, version = self.tasks.get(key, (0, -1))
        assert phase not in _TASK_ENDS, f"{key} after its end"
        assert phase != TaskExecution.RETRYABLE_FAILED, f"{key} after its failure"
        assert task.phase != phase or task.phase_version > version, f"{key}: the version does not grow"
        if task.retry_attempt:
            former = self.tasks[node, task.retry_attempt - 1][0]
            # An attempt of a dynamic task has succeeded when it has made nodes, whatever becomes of these.
            again = former == TaskExecution.SUCCEEDED and node in self.dynamic
            assert again or former == TaskExecution.RETRYABLE_FAILED, f"{key} began before the attempt before it failed"
        self.tasks[key] = task.phase, task.phase_version
        for item in task.metadata.external_resources:
            self.items[node, item.index] = max(
                self.items.get((node, item.index), (0, 0)), (item.retry_attempt, item.phase)
            )
