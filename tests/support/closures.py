"""Compiled workflows for tests, built without the compiler: nodes of every kind with edges and bindings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.condition_pb2 import BooleanExpression, ComparisonExpression, Operand
from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec
from flyteidl.core.identifier_pb2 import ResourceType
from flyteidl.core.literals_pb2 import Binding, BindingData, Literal, LiteralCollection, LiteralMap, Primitive, Scalar
from flyteidl.core.types_pb2 import LiteralType, OutputReference, SimpleType
from flyteidl.core.workflow_pb2 import Node, WorkflowMetadata

from flyteform.proto.flyteform.v1.link_pb2 import Lease

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyteidl.core.tasks_pb2 import TaskTemplate

START, END = "start-node", "end-node"


def integer(value: int) -> Literal:
    """Return an integer literal."""
    return Literal(scalar=Scalar(primitive=Primitive(integer=value)))


def integers(*values: int) -> Literal:
    """Return a list of integers."""
    return Literal(collection=LiteralCollection(literals=[integer(value) for value in values]))


def literals(**values: Literal | int) -> LiteralMap:
    """Return a literal map."""
    return LiteralMap(
        literals={name: integer(value) if isinstance(value, int) else value for name, value in values.items()}
    )


def boolean(value: bool) -> Literal:
    """Return a boolean literal."""
    return Literal(scalar=Scalar(primitive=Primitive(boolean=value)))


def promise(node: str, var: str) -> BindingData:
    """Return a binding to another node's output."""
    return BindingData(promise=OutputReference(node_id=node, var=var))


def bound(value: BindingData | Literal | int) -> BindingData:
    """Return a binding to a constant, or the binding itself."""
    if isinstance(value, BindingData):
        return value
    if isinstance(value, int):
        return BindingData(scalar=integer(value).scalar)
    if value.WhichOneof("value") == "collection":
        data = BindingData()
        data.collection.bindings.extend(bound(item) for item in value.collection.literals)
        data.collection.SetInParent()
        return data
    return BindingData(scalar=value.scalar)


def compare(var: str, sign: str, value: int) -> BooleanExpression:
    """Return a condition on an input of a branch."""
    comparison = ComparisonExpression(
        operator=ComparisonExpression.Operator.Value(sign),  # type: ignore[arg-type]
        left_value=Operand(var=var),
        right_value=Operand(primitive=Primitive(integer=value)),
    )
    return BooleanExpression(comparison=comparison)


def _call(node: Node, name: str) -> None:
    reference = node.workflow_node.launchplan_ref
    reference.resource_type, reference.name, reference.version = ResourceType.LAUNCH_PLAN, name, "1"
    reference.project, reference.domain = "p", "d"


class Flow:
    """Builds one workflow. Edges follow from promises and from `after`."""

    def __init__(self, *, finish_others: bool = False, name: str = "wf") -> None:
        self._name = name
        self._inside: set[str] = set()
        self.closure = CompiledWorkflowClosure()
        template = self.closure.primary.template
        template.id.project, template.id.domain, template.id.name, template.id.version = "p", "d", name, "1"
        if finish_others:
            template.metadata.on_failure = WorkflowMetadata.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE
        template.nodes.add(id=START)
        template.nodes.add(id=END)
        self._upstream: dict[str, set[str]] = {END: set()}

    def task(
        self,
        node: str,
        inputs: Mapping[str, BindingData | Literal | int] | None = None,
        *,
        after: Sequence[str] = (),
        outputs: Sequence[str] = ("o",),
        retries: int = 0,
        cached: bool = False,
        timeout: float = 0,
        task_type: str = "python-task",
    ) -> Flow:
        """Add a task node."""
        self._template(node, inputs or {}, outputs, cached=cached, timeout=timeout, task_type=task_type)
        message = self._node(node, inputs or {}, after)
        message.task_node.reference_id.name = self._entity(node)
        message.metadata.retries.retries = retries
        return self

    def map(  # noqa: PLR0913 - one for each setting of a map
        self,
        node: str,
        inputs: Mapping[str, BindingData | Literal | int],
        *,
        after: Sequence[str] = (),
        outputs: Sequence[str] = ("o",),
        retries: int = 0,
        cached: bool = False,
        parallelism: int = 0,
        min_successes: int | None = None,
        min_ratio: float | None = None,
        bound_inputs: Sequence[str] = (),
    ) -> Flow:
        """Add a map node over a task."""
        self._template(node, inputs, outputs, cached=cached, timeout=0, task_type="python-task")
        message = self._node(node, inputs, after)
        array = message.array_node
        array.node.task_node.reference_id.name = self._entity(node)
        array.node.metadata.retries.retries = retries
        array.parallelism = parallelism
        array.bound_inputs.extend(bound_inputs)
        if min_successes is not None:
            array.min_successes = min_successes
        elif min_ratio is not None:
            array.min_success_ratio = min_ratio
        return self

    def launch(
        self,
        node: str,
        inputs: Mapping[str, BindingData | Literal | int] | None = None,
        *,
        after: Sequence[str] = (),
        retries: int = 0,
        timeout: float = 0,
    ) -> Flow:
        """Add a node that runs a launch plan of its name."""
        message = self._node(node, inputs or {}, after)
        _call(message, node)
        message.metadata.retries.retries = retries
        message.metadata.timeout.FromMilliseconds(round(timeout * 1000))
        return self

    def map_launch(
        self,
        node: str,
        inputs: Mapping[str, BindingData | Literal | int],
        *,
        after: Sequence[str] = (),
        parallelism: int = 0,
        min_ratio: float = 1.0,
        retries: int = 0,
    ) -> Flow:
        """Add a map node over a launch plan of its name."""
        array = self._node(node, inputs, after).array_node
        _call(array.node, node)
        array.node.metadata.retries.retries = retries
        array.parallelism, array.min_success_ratio = parallelism, min_ratio
        return self

    def gate(
        self,
        node: str,
        kind: str,
        inputs: Mapping[str, BindingData | Literal | int] | None = None,
        *,
        after: Sequence[str] = (),
        seconds: float = 0,
        timeout: float = 0,
    ) -> Flow:
        """Add a gate: "approve" or "signal", of a signal with the node's name, or "sleep" for so many seconds."""
        message = self._node(node, inputs or {}, after)
        message.metadata.timeout.FromMilliseconds(round(timeout * 1000))
        gate = message.gate_node
        if kind == "approve":
            gate.approve.signal_id = node
        elif kind == "signal":
            gate.signal.signal_id, gate.signal.output_variable_name = node, "o"
            gate.signal.type.simple = SimpleType.INTEGER
        else:
            gate.sleep.duration.FromMilliseconds(round(seconds * 1000))
        return self

    def sub(
        self,
        node: str,
        inner: Flow,
        inputs: Mapping[str, BindingData | Literal | int] | None = None,
        *,
        after: Sequence[str] = (),
    ) -> Flow:
        """Add a node that runs another workflow, which has a name of its own."""
        self._carry(inner)
        return self.call(node, inner, inputs, after=after)

    def call(
        self,
        node: str,
        inner: Flow,
        inputs: Mapping[str, BindingData | Literal | int] | None = None,
        *,
        after: Sequence[str] = (),
    ) -> Flow:
        """Add a node that runs a workflow which this one carries already."""
        message = self._node(node, inputs or {}, after)
        message.workflow_node.sub_workflow_ref.CopyFrom(inner.closure.primary.template.id)
        return self

    def branch(
        self,
        node: str,
        inputs: Mapping[str, BindingData | Literal | int],
        cases: Sequence[tuple[BooleanExpression | None, str]],
        *,
        after: Sequence[str] = (),
        error: str = "",
    ) -> Flow:
        """Add a branch over nodes that were added before; a case without a condition is the else."""
        for _, name in cases:
            self._upstream[name].add(START)
        message = self._node(node, inputs, after)
        block = message.branch_node.if_else
        if error:
            block.error.message = error
        for position, (condition, name) in enumerate(cases):
            if condition is None:
                self._move(name, block.else_node)
            else:
                case = block.case if position == 0 else block.other.add()
                case.condition.CopyFrom(condition)
                self._move(name, case.then_node)
        return self

    def on_failure(
        self, node: str, inputs: Mapping[str, BindingData | Literal | int] | None = None, *, error: str = ""
    ) -> Flow:
        """Make a node that was added before, or else a new task, the failure node; `error` is its input for that."""
        if node not in self._upstream:
            self.task(node, inputs, outputs=())
        self._upstream[node].add(START)
        if error:
            variants = self.closure.tasks[-1].template.interface.inputs.variables[error].type.union_type.variants
            variants.add(simple=SimpleType.NONE)
            variants.add(simple=SimpleType.ERROR).structure.tag = "FlyteError"
        self._move(node, self.closure.primary.template.failure_node)
        return self

    def returns(self, **outputs: BindingData) -> Flow:
        """Bind the workflow's outputs."""
        for name, data in outputs.items():
            self.closure.primary.template.outputs.add(var=name, binding=data)
            self._upstream[END].add(data.promise.node_id or START)
        return self

    def build(self) -> CompiledWorkflowClosure:
        """Connect what has no edge to the start or the end, as the compiler does."""
        used = {above for uppers in self._upstream.values() for above in uppers}
        for node, uppers in self._upstream.items():
            if node != END and not uppers:
                uppers.add(START)
            if node != END and node not in used and node not in self._inside:
                self._upstream[END].add(node)
        if not self._upstream[END]:
            self._upstream[END].add(START)
        for node, uppers in self._upstream.items():
            self.closure.primary.connections.upstream[node].ids.extend(sorted(uppers))
        return self.closure

    def job(self, **outputs: BindingData) -> DynamicJobSpec:
        """Return the nodes as a dynamic task leaves them; they have no edges but those of their bindings."""
        template = self.closure.primary.template
        for task in self.closure.tasks:
            task.template.id.project, task.template.id.domain, task.template.id.version = "p", "d", "1"
            task.template.id.resource_type = ResourceType.TASK
            task.template.metadata.runtime.version = "1"
        nodes = [node for node in template.nodes if node.id not in (START, END)]
        tasks = {task.template.id.name: task.template.id for task in self.closure.tasks}
        for node in nodes:
            if node.WhichOneof("target") == "task_node":
                node.task_node.reference_id.CopyFrom(tasks[node.task_node.reference_id.name])
        bindings = [Binding(var=name, binding=data) for name, data in outputs.items()]
        return DynamicJobSpec(nodes=nodes, tasks=[task.template for task in self.closure.tasks], outputs=bindings)

    def lease(self, name: str = "e", **inputs: Literal | int) -> Lease:
        """Return the workflow offered as an execution."""
        lease = Lease(closure=self.build(), inputs=literals(**inputs))
        lease.id.project, lease.id.domain, lease.id.name = "p", "d", name
        lease.metadata_prefix = f"mem://store/metadata/propeller/p-d-{name}"
        lease.raw_output_prefix = f"mem://store/raw/p/d/{name}"
        return lease

    def _move(self, name: str, place: Node) -> None:
        """Move a node into a branch. It keeps its edges from above, as the compiler leaves them."""
        nodes = self.closure.primary.template.nodes
        index = next(index for index, node in enumerate(nodes) if node.id == name)
        place.CopyFrom(nodes[index])
        del nodes[index]
        self._inside.add(name)

    def _entity(self, node: str) -> str:
        return node if self._name == "wf" else f"{self._name}.{node}"

    def _carry(self, inner: Flow) -> None:
        closure = inner.build()
        self.closure.sub_workflows.append(closure.primary)
        self.closure.sub_workflows.extend(closure.sub_workflows)
        self.closure.tasks.extend(closure.tasks)

    def _template(
        self,
        name: str,
        inputs: Mapping[str, BindingData | Literal | int],
        outputs: Sequence[str],
        *,
        cached: bool,
        timeout: float,
        task_type: str,
    ) -> TaskTemplate:
        task = self.closure.tasks.add().template
        task.id.name, task.type = self._entity(name), task_type
        for variable in inputs:
            task.interface.inputs.variables[variable].type.CopyFrom(LiteralType(simple=SimpleType.INTEGER))
        for variable in outputs:
            task.interface.outputs.variables[variable].type.CopyFrom(LiteralType(simple=SimpleType.INTEGER))
        task.metadata.discoverable = cached
        task.metadata.discovery_version = "1" if cached else ""
        task.metadata.timeout.FromMilliseconds(round(timeout * 1000))
        task.container.image = "image"
        task.container.args.append("{{.outputPrefix}}")
        return task

    def _node(self, node: str, inputs: Mapping[str, BindingData | Literal | int], after: Sequence[str]) -> Node:
        message = self.closure.primary.template.nodes.add(id=node)
        uppers = self._upstream[node] = set(after)
        for name, value in inputs.items():
            data = bound(value)
            message.inputs.add(var=name, binding=data)
            if data.WhichOneof("value") == "promise":
                uppers.add(data.promise.node_id or START)
        return message
