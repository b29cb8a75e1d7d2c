"""Workflows of Flyte's `echo` task type, which needs no process: what the platform alone takes, beside FlytePropeller.

Everything goes over gRPC as Flyte's clients do it. The figures of Go FlytePropeller v1.16.8 with its built-in echo
plugin were taken elsewhere, on a machine like the one this was written on: a ratio is for orientation, not a contest.
"""

from __future__ import annotations

import secrets
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
from flyteidl.admin.execution_pb2 import ExecutionCreateRequest, ExecutionSpec, WorkflowExecutionGetRequest
from flyteidl.admin.launch_plan_pb2 import LaunchPlanCreateRequest, LaunchPlanSpec
from flyteidl.admin.task_pb2 import TaskCreateRequest, TaskSpec
from flyteidl.admin.workflow_pb2 import WorkflowCreateRequest, WorkflowSpec
from flyteidl.core.execution_pb2 import WorkflowExecution
from flyteidl.core.identifier_pb2 import Identifier, ResourceType, WorkflowExecutionIdentifier
from flyteidl.core.interface_pb2 import TypedInterface
from flyteidl.core.literals_pb2 import Binding
from flyteidl.core.tasks_pb2 import RuntimeMetadata, TaskMetadata, TaskTemplate
from flyteidl.core.types_pb2 import SimpleType
from flyteidl.core.workflow_pb2 import Node, TaskNode, WorkflowTemplate
from flyteidl.service.admin_pb2_grpc import AdminServiceStub

from benchmarks.measure import report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteidl.admin.execution_pb2 import ExecutionClosure

PROJECT, DOMAIN = "flytesnacks", "development"
PATIENCE = 120.0  # seconds for one case
_POLL = 0.01
_ENDS = (WorkflowExecution.SUCCEEDED, WorkflowExecution.FAILED, WorkflowExecution.ABORTED)


@dataclass(frozen=True, slots=True)
class Case:
    """Some executions of a workflow of some nodes; `theirs` is the range of seconds that FlytePropeller takes."""

    what: str
    nodes: int
    theirs: tuple[float, float] | None
    wide: bool = False
    executions: int = 1
    rounds: int = 3


CASES = (
    Case("1 node", 1, (0.2, 0.2), rounds=7),
    Case("chain of 10 nodes", 10, (0.8, 1.4), rounds=5),
    Case("chain of 100 nodes", 100, (15.8, 19.0)),
    Case("100 nodes wide", 100, (3.2, 8.3), wide=True),
    Case("50 executions of 1 node", 1, (7.75, 7.75), executions=50),
    Case("chain of 1,000 nodes", 1000, None),
)


def measure_echo(endpoint: str) -> None:
    """Print for each case how many times as long FlytePropeller takes, and whether the time grows with the nodes."""
    per_node: dict[int, float] = {}
    with grpc.insecure_channel(endpoint) as channel:
        bench = _Bench(AdminServiceStub(channel))
        for case in CASES:
            seconds = bench.measure(case)
            middle = statistics.median(seconds)
            if not case.wide and case.executions == 1:
                per_node[case.nodes] = middle / case.nodes
            if case.theirs is not None:
                _tell(case, case.theirs, seconds)
    growth = per_node[1000] / per_node[100]
    each = ", ".join(f"{nodes}: {seconds * 1000:.2f}" for nodes, seconds in per_node.items())
    report(
        "echo, time per node of a chain of 1,000 in those of a chain of 100",
        growth,
        goal="goal: no more than 1.2, linear growth",
        detail=f"ms per node by length of the chain: {each}",
    )


def _tell(case: Case, theirs: tuple[float, float], seconds: Sequence[float]) -> None:
    middle = statistics.median(seconds)
    least, most = theirs
    there = f"{least:g}" if least == most else f"{least:g} to {most:g}"
    report(
        f"echo, {case.what}, how many times longer FlytePropeller takes",
        least / middle,
        goal="goal: above 10",
        detail=f"s: {there} there (the least counts), {middle:.3f} here (median of {len(seconds)}, {min(seconds):.3f} "
        f"to {max(seconds):.3f})",
    )


class _Bench:
    """Registers what is needed and runs it."""

    def __init__(self, admin: AdminServiceStub) -> None:
        self._admin = admin
        self._version = secrets.token_hex(4)
        self._task = self._id(ResourceType.TASK, "echo")
        interface = TypedInterface()
        for variables in (interface.inputs.variables, interface.outputs.variables):
            variables["x"].type.simple = SimpleType.INTEGER
        metadata = TaskMetadata(runtime=RuntimeMetadata(version="1", flavor="any"))
        template = TaskTemplate(id=self._task, type="echo", metadata=metadata, interface=interface)
        admin.CreateTask(TaskCreateRequest(id=self._task, spec=TaskSpec(template=template)))

    def measure(self, case: Case) -> list[float]:
        """Return the seconds of each round, from the first execution's creation to the last one's end."""
        plan = self._register(case)
        self._run(plan, 1)  # the closure is cached for everybody alike
        return [self._run(plan, case.executions) for _ in range(case.rounds)]

    def _register(self, case: Case) -> Identifier:
        name = case.what.replace(" ", "-").replace(",", "")
        workflow, plan = self._id(ResourceType.WORKFLOW, name), self._id(ResourceType.LAUNCH_PLAN, name)
        nodes = [self._node(number, after=0 if case.wide else number) for number in range(case.nodes)]
        template = WorkflowTemplate(id=workflow, interface=TypedInterface(), nodes=nodes)
        self._admin.CreateWorkflow(WorkflowCreateRequest(id=workflow, spec=WorkflowSpec(template=template)))
        self._admin.CreateLaunchPlan(LaunchPlanCreateRequest(id=plan, spec=LaunchPlanSpec(workflow_id=workflow)))
        return plan

    def _node(self, number: int, *, after: int) -> Node:
        binding = Binding(var="x")
        if after:
            binding.binding.promise.node_id, binding.binding.promise.var = f"n{number - 1}", "x"
        else:
            binding.binding.scalar.primitive.integer = number
        return Node(id=f"n{number}", inputs=[binding], task_node=TaskNode(reference_id=self._task))

    def _run(self, plan: Identifier, count: int) -> float:
        prefix = f"e{secrets.token_hex(6)}"
        for number in range(count):
            spec = ExecutionSpec(launch_plan=plan)
            name = f"{prefix}{number}"
            self._admin.CreateExecution(ExecutionCreateRequest(project=PROJECT, domain=DOMAIN, name=name, spec=spec))
        closures = [self._ended(f"{prefix}{number}") for number in range(count)]
        begun = min(closure.created_at.ToNanoseconds() for closure in closures)
        return float(max(closure.updated_at.ToNanoseconds() for closure in closures) - begun) / 1e9

    def _ended(self, name: str) -> ExecutionClosure:
        wanted = WorkflowExecutionGetRequest(id=WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name=name))
        deadline = time.monotonic() + PATIENCE
        while (closure := self._admin.GetExecution(wanted).closure).phase not in _ENDS:
            if time.monotonic() > deadline:
                raise SystemExit(f"{name} has not ended after {PATIENCE:.0f} s")
            time.sleep(_POLL)
        if closure.phase != WorkflowExecution.SUCCEEDED:
            raise SystemExit(f"{name} failed: {closure.error.message}")
        return closure

    def _id(self, kind: ResourceType.ValueType, name: str) -> Identifier:
        return Identifier(
            resource_type=kind, project=PROJECT, domain=DOMAIN, name=f"bench.{name}", version=self._version
        )
