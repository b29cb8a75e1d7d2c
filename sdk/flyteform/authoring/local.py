"""Running entities in this process, with the types checked wherever a value passes from one task to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from flyteform.authoring import context
from flyteform.authoring.graph import WORKFLOW_INPUTS, Binding, Constant, ListOf, MapOf, Reference
from flyteform.authoring.interface import check_value
from flyteform.authoring.launch_plans import LaunchPlan
from flyteform.authoring.mapping import MapTask
from flyteform.authoring.tasks import PythonTask
from flyteform.authoring.workflows import Workflow
from flyteform.errors import InvalidInputError, TaskFailedError, TypeMismatchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.authoring.entity import Entity

Values = dict[str, Any]


def run(entity: Entity, inputs: Mapping[str, Any]) -> Values:
    """Run an entity on input values and return its outputs by name.

    Raises `InvalidInputError` for wrong inputs and `TaskFailedError` when the user's code raises.
    """
    values = entity.interface.checked(inputs, entity.subject)
    match entity:
        case PythonTask():
            with context.local(entity.name):
                return entity.run(values)
        case MapTask():
            return _run_map(entity, values)
        case LaunchPlan():
            return run(entity.workflow, values | dict(entity.fixed_inputs))
        case Workflow():
            return _run_workflow(entity, values)
        case _:
            assert_never(entity)


def _run_workflow(workflow: Workflow, inputs: Values) -> Values:
    known = {WORKFLOW_INPUTS: inputs}
    for node in workflow.graph.in_order():
        known[node.id] = run(node.entity, {name: _value(binding, known) for name, binding in node.bindings})
    types = workflow.interface.outputs_by_name
    return {
        name: check_value(_value(binding, known), types[name].python_type, f"output {name!r} of {workflow.subject}")
        for name, binding in workflow.outputs
    }


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
