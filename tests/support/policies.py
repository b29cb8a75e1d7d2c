"""The failure policies of a plan, held against the events that a data plane sends. Shares no code with the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core.execution_pb2 import NodeExecution

from support.oracle import unique

if TYPE_CHECKING:
    from flyteform.proto.flyteform.v1.events_pb2 import Event
    from support.oracle import Plan

_ENDED_EARLY = {NodeExecution.ABORTED, NodeExecution.SKIPPED}
_TOP = ""
_ENDS = ("start-node", "end-node")
_BAD = (NodeExecution.FAILED, NodeExecution.TIMED_OUT)


class Policies:
    """Where a failure ends all at once, nothing may begin or succeed after it, save the failure node."""

    def __init__(self, plan: Plan) -> None:
        self._patient = {_TOP} if plan.finish_others else set()
        self._failure_nodes: set[str] = set()
        # What each attempt of a dynamic task made is a workflow of its own.
        self._groups: dict[str, str] = {}
        self._learn(plan)
        self._parents: dict[str, str] = {}
        self._closed: set[str] = set()
        self._last = 0

    def _learn(self, plan: Plan) -> None:
        if plan.failure is not None:
            self._failure_nodes.add(plan.id_of(plan.failure))
        for name, step in plan.all_steps():
            for below in step.below:
                group = f"{name}#{below.attempt}"
                if below.finish_others:
                    self._patient.add(group)
                if below.failure is not None:
                    self._failure_nodes.add(below.id_of(below.failure))
                ids = (below.id_of(each) for each in (*below.steps, *filter(None, [below.failure])))
                for node in (*ids, *(unique(name, end, below.attempt) for end in _ENDS)):
                    self._groups[node] = group

    def take(self, number: int, event: Event) -> None:
        """Look at one event; one that was seen before is a re-sent one."""
        if number <= self._last or event.WhichOneof("event") != "node":
            return
        self._last = number
        node = event.node.event
        name, parent = node.id.node_id, node.parent_node_metadata.node_id
        self._parents[name] = parent
        if node.phase not in _ENDED_EARLY:
            self._check(name)
        group = self._groups.get(name, parent)
        if node.phase in _BAD and name not in self._failure_nodes and group not in self._patient:
            self._closed.add(group)

    def _check(self, name: str) -> None:
        below = name
        while below not in self._failure_nodes and below:
            group = self._groups.get(below, self._parents[below])
            assert group not in self._closed, f"{name} goes on though a node beside {below} failed"
            below = self._parents[below]
