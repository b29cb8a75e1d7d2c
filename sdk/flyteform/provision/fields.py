"""What people compare two versions by: a spec taken apart into named fields, each one line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import tasks_pb2

from flyteform.provision.impact.launch_plans import launch_plan_form
from flyteform.provision.model import FieldChange, Kind
from flyteform.provision.text import binding_text, type_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flyteidl.core import identifier_pb2, interface_pb2
    from flyteidl.core import workflow_pb2 as core_workflow

    from flyteform.provision.model import Entity

Fields = dict[str, str]

# What flytekit hands on to its dynamic tasks: packed, and nothing that anybody has written.
_SERIALIZED_CONTEXT = "_F_SS_C"
# The compiler adds these to the nodes that the author wrote.
_IMPLICIT_NODES = frozenset({"start-node", "end-node"})


def fields_of(entity: Entity) -> Fields:
    """Take a wanted entity apart."""
    match entity.address.kind:
        case Kind.TASK:
            return task_fields(task_pb2.TaskSpec.FromString(entity.spec).template)
        case Kind.WORKFLOW:
            return workflow_fields(workflow_pb2.WorkflowSpec.FromString(entity.spec).template)
        case Kind.LAUNCH_PLAN:
            return launch_plan_fields(launch_plan_pb2.LaunchPlanSpec.FromString(entity.spec))
        case _:
            return {}


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[FieldChange, ...]:
    """Return the fields that are not the same, sorted by path."""
    return tuple(
        FieldChange(path, before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    )


def task_fields(template: tasks_pb2.TaskTemplate) -> Fields:
    """Take a task apart: interface, where it runs, what it asks for, how it is cached and retried."""
    metadata = template.metadata
    fields = _interface_fields(template.interface)
    fields["type"] = template.type
    if metadata.discoverable:
        fields["cache"] = f"version {metadata.discovery_version}"
        if metadata.cache_ignore_input_vars:
            fields["cache.ignores"] = ", ".join(sorted(metadata.cache_ignore_input_vars))
        if metadata.cache_serializable:
            fields["cache.serialize"] = "true"
    if metadata.retries.retries:
        fields["retries"] = str(metadata.retries.retries)
    if metadata.HasField("timeout") and (metadata.timeout.seconds or metadata.timeout.nanos):
        fields["timeout"] = metadata.timeout.ToJsonString()
    if metadata.interruptible:
        fields["interruptible"] = "true"
    return fields | _container_fields(template.container) | _secret_fields(template)


def _container_fields(container: tasks_pb2.Container) -> Fields:
    fields = {"image": container.image} if container.image else {}
    for word, entries in (("requests", container.resources.requests), ("limits", container.resources.limits)):
        for entry in entries:
            name = tasks_pb2.Resources.ResourceName.Name(entry.name).lower()
            fields[f"resources.{word}.{name}"] = entry.value
    fields |= {f"environment.{pair.key}": pair.value for pair in container.env if pair.key != _SERIALIZED_CONTEXT}
    return fields


def _secret_fields(template: tasks_pb2.TaskTemplate) -> Fields:
    """Name the secrets that a task asks for; their values are never part of a spec."""
    names = sorted(f"{secret.group}/{secret.key}" for secret in template.security_context.secrets)
    return {"secrets": ", ".join(names)} if names else {}


def workflow_fields(template: core_workflow.WorkflowTemplate) -> Fields:
    """Take a workflow apart: interface, nodes with where their inputs come from, outputs, versions of what it calls."""
    fields = _interface_fields(template.interface)
    for node in template.nodes:
        if node.id not in _IMPLICIT_NODES:
            fields[f"nodes.{node.id}"] = _node_text(node)
            for reference in _references(node):
                fields[f"calls.{reference.name}"] = reference.version
    for output in template.outputs:
        fields[f"outputs.{output.var}.from"] = binding_text(output.binding)
    if template.HasField("failure_node"):
        fields["on_failure"] = _node_text(template.failure_node)
    return fields


def _node_text(node: core_workflow.Node) -> str:
    called = ", ".join(reference.name for reference in _references(node)) or node.WhichOneof("target") or "node"
    inputs = ", ".join(f"{binding.var}={binding_text(binding.binding)}" for binding in node.inputs)
    shape = "map " if node.WhichOneof("target") == "array_node" else ""
    return f"{shape}{called}({inputs})"


def _references(node: core_workflow.Node) -> Iterable[identifier_pb2.Identifier]:
    """Yield what a node runs; of a branch the targets of all its arms."""
    match node.WhichOneof("target"):
        case "task_node":
            yield node.task_node.reference_id
        case "workflow_node":
            kind = node.workflow_node.WhichOneof("reference")
            yield (
                node.workflow_node.sub_workflow_ref if kind == "sub_workflow_ref" else node.workflow_node.launchplan_ref
            )
        case "array_node":
            yield from _references(node.array_node.node)
        case "branch_node":
            block = node.branch_node.if_else
            for arm in (block.case, *block.other):
                yield from _references(arm.then_node)
            if block.HasField("else_node"):
                yield from _references(block.else_node)
        case _:
            return


def launch_plan_fields(spec: launch_plan_pb2.LaunchPlanSpec) -> Fields:
    """Take a launch plan apart: workflow, schedule, inputs, who is told, how executions run."""
    return {path: shown.text for path, shown in launch_plan_form(spec).items()}


def _interface_fields(interface: interface_pb2.TypedInterface) -> Fields:
    inputs = {f"inputs.{name}": type_text(each.type) for name, each in interface.inputs.variables.items()}
    outputs = {f"outputs.{name}": type_text(each.type) for name, each in interface.outputs.variables.items()}
    return inputs | outputs
