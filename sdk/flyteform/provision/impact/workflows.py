"""The semantic difference of two workflows: nodes, edges, interface, branches, failure node, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core import workflow_pb2

from flyteform.provision.impact.forms import Form, Shown, differences, flattened, interface_form, of_message
from flyteform.provision.impact.matching import match_nodes
from flyteform.provision.impact.nodes import (
    IMPLICIT,
    NUMBERED,
    START,
    arms,
    node_form,
    node_text,
    references,
    rename_binding,
    renamed,
)
from flyteform.provision.model import FieldChange
from flyteform.provision.text import binding_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flyteidl.core.workflow_pb2 import Node, WorkflowTemplate

# What the line of a new node says already, or what would say too much.
_NOT_FURTHER = ("runs", "inputs.", "name", "case[", "else.", "item.")


def workflow_differences(before: WorkflowTemplate, after: WorkflowTemplate) -> tuple[FieldChange, ...]:
    """Return what is different, nothing if the two do the same; ids and versions of the workflows do not count.

    A node that has another name or number is not a new node: a name is one line, numbers that moved are one line
    together, and what uses the node is not mentioned.
    """
    before, after = _canonical(before), _canonical(after)
    names = match_nodes(before.nodes, after.nodes)

    def rename(old: str) -> str:
        return names.get(old, old)

    return (
        *differences(interface_form(before.interface), interface_form(after.interface)),
        *_node_differences(before, after, names, rename),
        *_failure_differences(before, after, rename),
        *differences(_rest_form(before, rename), _rest_form(after, lambda each: each)),
    )


def _canonical(template: WorkflowTemplate) -> WorkflowTemplate:
    """Give the workflow's own inputs, whose node may go without a name, the name that compilers give it."""
    copy = workflow_pb2.WorkflowTemplate()
    copy.CopyFrom(template)
    del copy.nodes[:]
    copy.nodes.extend(renamed(node, _named) for node in template.nodes)
    if template.HasField("failure_node"):
        copy.failure_node.CopyFrom(renamed(template.failure_node, _named))
    for output in copy.outputs:
        rename_binding(output.binding, _named)
    return copy


def _named(source: str) -> str:
    return source or START


def called_versions(template: WorkflowTemplate) -> dict[str, str]:
    """Return the versions of what a workflow calls, by kind and name."""
    nodes = [*template.nodes, *([template.failure_node] if template.HasField("failure_node") else [])]
    return {f"calls.{each.name}": each.version for node in nodes for each in references(node)}


def all_nodes(template: WorkflowTemplate) -> Iterator[Node]:
    """Yield every node, those in the arms of branches, in arrays and the failure node too."""
    waiting = [node for node in template.nodes if node.id not in IMPLICIT]
    if template.HasField("failure_node"):
        waiting.append(template.failure_node)
    while waiting:
        node = waiting.pop()
        yield node
        match node.WhichOneof("target"):
            case "branch_node":
                waiting.extend(inner for _, inner in arms(node.branch_node.if_else))
            case "array_node":
                waiting.append(node.array_node.node)
            case _:
                pass


def _node_differences(
    before: WorkflowTemplate, after: WorkflowTemplate, names: Mapping[str, str], rename: Callable[[str], str]
) -> Iterator[FieldChange]:
    old = {node.id: node for node in before.nodes if node.id not in IMPLICIT}
    new = {node.id: node for node in after.nodes if node.id not in IMPLICIT}
    origins = {other: name for name, other in names.items()}
    yield from (FieldChange(f"nodes.{name}", node_text(node), None) for name, node in old.items() if name not in names)
    for name, node in new.items():
        if name in origins:
            yield from _changed(old[origins[name]], node, rename)
        else:
            yield from _added(node)
    yield from _moved(names)


def _failure_differences(
    before: WorkflowTemplate, after: WorkflowTemplate, rename: Callable[[str], str]
) -> Iterator[FieldChange]:
    old, new = (each.failure_node if each.HasField("failure_node") else None for each in (before, after))
    if old is not None and new is not None:
        found = differences(node_form(renamed(old, rename)), node_form(new))
        yield from (FieldChange(f"on_failure.{each.path}", each.before, each.after) for each in found)
    elif old is not None or new is not None:
        texts = (None if each is None else node_text(each) for each in (old, new))
        yield FieldChange("on_failure", *texts)


def _changed(old: Node, new: Node, rename: Callable[[str], str]) -> Iterator[FieldChange]:
    if old.id != new.id and not _both_numbered(old.id, new.id):
        yield FieldChange(f"nodes.{new.id}.id", old.id, new.id)
    for each in differences(node_form(renamed(old, rename)), node_form(new)):
        yield FieldChange(f"nodes.{new.id}.{each.path}", each.before, each.after)


def _added(node: Node) -> Iterator[FieldChange]:
    """Yield a line for a new node, and its settings that this line leaves out."""
    yield FieldChange(f"nodes.{node.id}", None, node_text(node))
    for path, shown in sorted(node_form(node).items()):
        if path.endswith((".if", "else.fails")) or not path.startswith(_NOT_FURTHER):
            yield FieldChange(f"nodes.{node.id}.{path}", None, shown.text)


def _moved(names: Mapping[str, str]) -> Iterator[FieldChange]:
    """Yield one line for all the numbers that are others now because nodes came or went before them."""
    moved = [f"{old}→{new}" for old, new in names.items() if old != new and _both_numbered(old, new)]
    if moved:
        yield FieldChange("nodes.numbers", None, f"moved: {', '.join(moved)}")


def _both_numbered(one: str, other: str) -> bool:
    return NUMBERED.fullmatch(one) is not None and NUMBERED.fullmatch(other) is not None


def _rest_form(template: WorkflowTemplate, rename: Callable[[str], str]) -> Form:
    """Take apart what is neither interface nor node."""
    form: Form = {}
    for output in template.outputs:
        binding = type(output.binding)()
        binding.CopyFrom(output.binding)
        rename_binding(binding, rename)
        form[f"outputs.{output.var}.from"] = of_message(binding_text(binding), binding)
    policy = workflow_pb2.WorkflowMetadata.OnFailurePolicy.Name(template.metadata.on_failure)
    if template.metadata.on_failure:
        form["failure_policy"] = Shown(policy.lower())
    rest = workflow_pb2.WorkflowMetadata()
    rest.CopyFrom(template.metadata)
    rest.ClearField("on_failure")
    return form | flattened(rest) | flattened(template.metadata_defaults)
