"""Running entities in this process, with the types checked wherever a value passes from one task to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from flyteform.authoring import context
from flyteform.authoring.conditions import holds
from flyteform.authoring.graph import WORKFLOW_INPUTS, Binding, Branch, Constant, Gate, ListOf, MapOf, Reference
from flyteform.authoring.interface import check_value
from flyteform.authoring.launch_plans import LaunchPlan
from flyteform.authoring.mapping import MapTask
from flyteform.authoring.references import ReferenceEntity
from flyteform.authoring.tasks import PythonTask
from flyteform.authoring.workflows import Workflow
from flyteform.errors import InvalidInputError, TaskFailedError, TypeMismatchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.authoring.entity import Entity
    from flyteform.authoring.graph import Graph, Node

Values = dict[str, Any]


def run(entity: Entity | ReferenceEntity, inputs: Mapping[str, Any]) -> Values:
    """Run an entity on input values and return its outputs by name.

    Raises `InvalidInputError` for wrong inputs and `TaskFailedError` when the user's code raises.
    """
    values = entity.interface.checked(inputs, entity.subject)
    match entity:
        case PythonTask():
            with context.local(entity.name):
                return _run_dynamic(entity, values) if entity.dynamic else entity.run(values)
        case MapTask():
            return _run_map(entity, values)
        case LaunchPlan():
            return run(entity.workflow, values | dict(entity.fixed_inputs))
        case Workflow():
            return _run_workflow(entity, values)
        case ReferenceEntity():
            raise InvalidInputError(
                f"{entity.subject} is on a platform: it cannot run in this process",
                remedy="run the workflow there: flyteform run --remote",
            )
        case _:
            assert_never(entity)


def _run_workflow(workflow: Workflow, inputs: Values) -> Values:
    try:
        return _run_graph(workflow.graph, inputs, workflow)
    except TaskFailedError as error:
        _clean_up(workflow, inputs, error)
        raise


def _clean_up(workflow: Workflow, inputs: Values, error: TaskFailedError) -> None:
    """Run what a workflow has for its failure; it learns of the error if it takes one."""
    handler = workflow.on_failure
    if handler is None:
        return
    from flyteform.types.errors import FlyteError
    from flyteform.types.registry import takes

    told = {
        one.name: FlyteError(error.message) for one in handler.interface.inputs if takes(one.python_type, FlyteError)
    }
    run(handler, told | inputs)


def _run_dynamic(task: PythonTask, inputs: Values) -> Values:
    from flyteform.authoring.tracing import unfold

    return _run_graph(unfold(task, inputs), {}, task)


def _run_graph(graph: Graph, inputs: Values, owner: Workflow | PythonTask) -> Values:
    known = {WORKFLOW_INPUTS: inputs}
    for node in graph.in_order():
        known[node.id] = _run_node(node, known)
    types = owner.interface.outputs_by_name
    return {
        name: check_value(_value(binding, known), types[name].python_type, f"output {name!r} of {owner.subject}")
        for name, binding in graph.outputs
    }


def _run_node(node: Node, known: Mapping[str, Values]) -> Values:
    entity = node.entity
    match entity:
        case Branch():
            return _run_branch(entity, known)
        case Gate():
            from flyteform.authoring.gates import pass_here

            return pass_here(entity, {name: _value(binding, known) for name, binding in node.bindings})
        case _:
            return run(entity, {name: _value(binding, known) for name, binding in node.bindings})


def _run_branch(branch: Branch, known: Mapping[str, Values]) -> Values:
    taken = next(
        (case.node for case in branch.cases if holds(case.condition, lambda operand: _value(operand, known))),
        branch.otherwise,
    )
    if taken is None:
        raise TaskFailedError(branch.name, ValueError(branch.error))
    values = _run_node(taken, known)
    return {name: values[name] for name in branch.outputs}


def _run_map(mapped: MapTask, inputs: Values) -> Values:
    bound = {name: inputs[name] for name in mapped.bound_names}
    lists = {name: value for name, value in inputs.items() if name not in bound}
    count = _length(mapped, lists)
    outputs: dict[str, list[Any]] = {one.name: [] for one in mapped.interface.outputs}
    failures: list[TaskFailedError] = []
    for index in range(count):
        try:
            with context.local(mapped.task.name, index):
                item = mapped.task.run({name: value[index] for name, value in lists.items()} | bound)
        except TaskFailedError as error:
            failures.append(error)
            if count - len(failures) < mapped.needed(count):
                raise
            item = dict.fromkeys(outputs)
        for name, values in outputs.items():
            values.append(item[name])
    return outputs


def _length(mapped: MapTask, lists: Mapping[str, list[Any]]) -> int:
    lengths = {name: len(value) for name, value in lists.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise InvalidInputError(f"{mapped.subject}: its lists are of different lengths: {shown}")
    return next(iter(lengths.values()))


def _value(binding: Binding, known: Mapping[str, Values]) -> Any:
    match binding:
        case Constant(value=value, family=family):
            return family.check(value)
        case Reference(node_id=node_id, output=output, path=path):
            return _part(known[node_id][output], path, output)
        case ListOf(items=items):
            return [_value(item, known) for item in items]
        case MapOf(entries=entries):
            return {key: _value(item, known) for key, item in entries}
        case _:
            assert_never(binding)


def _part(value: Any, path: tuple[str | int, ...], output: str) -> Any:
    for step in path:
        try:
            value = value[step] if isinstance(value, dict) or isinstance(step, int) else getattr(value, step)
        except (LookupError, AttributeError, TypeError) as error:
            raise TypeMismatchError(f"the output {output!r} has no part {step!r}: it is {value!r}") from error
    return value
