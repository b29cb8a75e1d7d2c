"""A control plane for the runner's tests: child executions and signals in dictionaries, checked as FlyteAdmin does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flyteidl.admin.execution_pb2 import Execution, ExecutionCreateRequest
from flyteidl.core.execution_pb2 import ExecutionError, WorkflowExecution
from flyteidl.core.interface_pb2 import ParameterMap, VariableMap
from flyteidl.core.literals_pb2 import LiteralMap

from flyteform.compiler import LaunchPlanInterface
from flyteform.errors import AlreadyExistsError, NotFoundError, UnavailableError
from flyteform_dataplane.errors import UserError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from flyteidl.admin.execution_pb2 import ExecutionRecoverRequest
    from flyteidl.admin.node_execution_pb2 import NodeExecution
    from flyteidl.core.identifier_pb2 import Identifier, SignalIdentifier, WorkflowExecutionIdentifier
    from flyteidl.core.literals_pb2 import Literal
    from flyteidl.core.types_pb2 import LiteralType

    from support.legality import AdminRows


@dataclass
class FakeControl:
    """Creates children that end at once as `body` says (an error by its message, None: they run until told)."""

    rows: dict[str, AdminRows]
    body: Callable[[ExecutionCreateRequest], LiteralMap | str | None] = lambda _: LiteralMap()
    away: int = 0
    refusal: str = ""
    slow: asyncio.Event | None = None
    creating: bool = False
    created: list[ExecutionCreateRequest] = field(default_factory=list)
    recovered: list[ExecutionRecoverRequest] = field(default_factory=list)
    terminated: list[str] = field(default_factory=list)
    executions: dict[str, Execution] = field(default_factory=dict)
    given: dict[str, LiteralMap] = field(default_factory=dict)
    signals: dict[str, Literal | None] = field(default_factory=dict)
    kinds: dict[str, LiteralType] = field(default_factory=dict)
    outputs_of_plans: tuple[str, ...] = ("o",)
    former: dict[tuple[str, str], list[NodeExecution]] = field(default_factory=dict)
    unknown_plans: bool = False

    async def create(self, request: ExecutionCreateRequest) -> None:
        """Create a child of a node that is known."""
        self._check_reached()
        self.creating = True
        if self.slow is not None:
            await self.slow.wait()
        if self.refusal:
            raise UserError(self.refusal)
        self._check_new(request.name)
        node = request.spec.metadata.parent_node_execution
        if node.node_id not in self.rows[node.execution_id.name].nodes:
            raise NotFoundError(f"missing parent node execution {node.node_id}")
        self.created.append(request)
        execution = self.executions[request.name] = Execution(spec=request.spec)
        execution.closure.phase = WorkflowExecution.RUNNING
        self.finish(request.name, self.body(request))

    async def recover(self, request: ExecutionRecoverRequest) -> None:
        """Create a child that recovers a former one."""
        self._check_reached()
        self._check_new(request.name)
        former = self.executions.get(request.id.name)
        if former is None:
            raise NotFoundError(f"missing execution {request.id.name}")
        self.recovered.append(request)
        execution = self.executions[request.name] = Execution(spec=former.spec)
        execution.spec.metadata.CopyFrom(request.metadata)
        self.finish(request.name, self.body(ExecutionCreateRequest(name=request.name, spec=execution.spec)))

    def take(self, name: str) -> None:
        """Let somebody else have an execution of that name."""
        self.executions[name] = Execution()

    def finish(self, name: str, end: LiteralMap | str | None) -> None:
        """Let a child end."""
        closure = self.executions[name].closure
        if isinstance(end, LiteralMap):
            self.given[name] = end
            closure.phase = WorkflowExecution.SUCCEEDED
        elif end is not None:
            closure.phase = WorkflowExecution.FAILED
            closure.error.CopyFrom(ExecutionError(code="Child", message=end, kind=ExecutionError.USER))

    async def execution(self, name: WorkflowExecutionIdentifier) -> Execution:
        """Return a child."""
        self._check_reached()
        if name.name not in self.executions:
            raise NotFoundError(f"missing execution {name.name}")
        return self.executions[name.name]

    async def terminate(self, name: WorkflowExecutionIdentifier, cause: str) -> None:
        """End a child if it runs."""
        self._check_reached()
        execution = self.executions.get(name.name)
        if execution is not None and execution.closure.phase == WorkflowExecution.RUNNING:
            self.terminated.append(name.name)
            execution.closure.phase = WorkflowExecution.ABORTED
            execution.closure.abort_metadata.cause = cause

    async def outputs(self, name: WorkflowExecutionIdentifier) -> LiteralMap | None:
        """Return what a child gave."""
        self._check_reached()
        return self.given[name.name]

    async def signal(self, name: SignalIdentifier, kind: LiteralType) -> Literal | None:
        """Return the value of a signal."""
        self._check_reached()
        self.kinds[name.signal_id] = kind
        return self.signals.setdefault(name.signal_id, None)

    async def nodes(self, name: WorkflowExecutionIdentifier, parent: str) -> list[NodeExecution]:
        """Return the nodes of an execution that has ended."""
        self._check_reached()
        return self.former.get((name.name, parent), [])

    async def launch_plan(self, name: Identifier) -> LaunchPlanInterface:
        """Return the interface of any launch plan: no inputs, and the outputs that all have here."""
        self._check_reached()
        if self.unknown_plans:
            raise NotFoundError(f"missing launch plan {name.name}")
        outputs = VariableMap()
        for output in self.outputs_of_plans:
            outputs.variables[output].type.simple = 1
        return LaunchPlanInterface(name, ParameterMap(), LiteralMap(), outputs)

    def _check_new(self, name: str) -> None:
        if name in self.executions:
            raise AlreadyExistsError(f"execution {name} already exists")

    def _check_reached(self) -> None:
        if self.away:
            self.away -= 1
            raise UnavailableError("the control plane is away")
