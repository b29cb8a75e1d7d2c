"""A node of a workflow taken apart: what it runs, where its inputs come from, what it waits for, its settings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flyteidl.core import identifier_pb2, workflow_pb2

from flyteform.provision.impact.forms import Form, Shown, exact, flattened, of_message
from flyteform.provision.redaction import HIDDEN, is_secret_name
from flyteform.provision.text import binding_text, condition_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flyteidl.core import condition_pb2, literals_pb2

START = "start-node"
# The compiler adds these to the nodes that the author wrote.
IMPLICIT = frozenset({START, "end-node"})
# Ids that SDKs number nodes with: they say nothing, and adding a node moves all that follow.
NUMBERED = re.compile(r"n\d+(?:-n\d+)*")
_VALUE_CHARACTERS = 60


def node_form(node: workflow_pb2.Node) -> Form:
    """Take a node apart. Its own id is not in the form, nor are the versions of what it runs."""
    form: Form = {"runs": _runs(node)}
    for binding in node.inputs:
        form[f"inputs.{binding.var}"] = of_message(binding_text(binding.binding), binding.binding)
    if waits := _waits_for(node):
        form["after"] = Shown(", ".join(waits))
    for alias in node.output_aliases:
        form[f"aliases.{alias.var}"] = Shown(alias.alias)
    form |= _settings(node.metadata)
    match node.WhichOneof("target"):
        case "task_node":
            form |= flattened(node.task_node.overrides, "overrides")
        case "branch_node":
            form |= _branch_form(node.branch_node.if_else)
        case "array_node":
            form |= _array_form(node)
        case "gate_node":
            form |= flattened(node.gate_node)
        case _:
            pass
    return form


def node_text(node: workflow_pb2.Node) -> str:
    """Write a node on one line: what it runs, and with which inputs."""
    return f"{runs_text(node)}({', '.join(_input_text(each) for each in node.inputs)})"


def runs_text(node: workflow_pb2.Node) -> str:
    """Say what a node runs, in a few words and without versions."""
    match node.WhichOneof("target"):
        case "branch_node":
            names = dict.fromkeys(each.name for each in references(node))
            return f"branch to {', '.join(names)}" if names else "branch"
        case "array_node":
            return f"map {runs_text(node.array_node.node)}"
        case "gate_node":
            gate = node.gate_node
            kind = gate.WhichOneof("condition") or "gate"
            return {"approve": "approval", "signal": "signal"}.get(kind, kind)
        case None:
            return "nothing"
        case _:
            return ", ".join(each.name for each in references(node))


def references(node: workflow_pb2.Node) -> Iterator[identifier_pb2.Identifier]:
    """Yield what a node runs; of a branch the targets of all its arms."""
    match node.WhichOneof("target"):
        case "task_node":
            yield node.task_node.reference_id
        case "workflow_node":
            target = node.workflow_node
            is_sub_workflow = target.WhichOneof("reference") == "sub_workflow_ref"
            yield target.sub_workflow_ref if is_sub_workflow else target.launchplan_ref
        case "array_node":
            yield from references(node.array_node.node)
        case "branch_node":
            for _, inner in arms(node.branch_node.if_else):
                yield from references(inner)
        case _:
            return


def arms(block: workflow_pb2.IfElseBlock) -> Iterator[tuple[str, workflow_pb2.Node]]:
    """Yield the nodes of a branch with the names of their arms."""
    for index, arm in enumerate((block.case, *block.other)):
        yield f"case[{index}]", arm.then_node
    if block.HasField("else_node"):
        yield "else", block.else_node


def renamed(node: workflow_pb2.Node, rename: Callable[[str], str]) -> workflow_pb2.Node:
    """Return a copy in which the node's sources have other ids."""
    copy = workflow_pb2.Node()
    copy.CopyFrom(node)
    _rename_in(copy, rename)
    return copy


def rename_binding(binding: literals_pb2.BindingData, rename: Callable[[str], str]) -> None:
    """Give the sources of a binding other ids, in place."""
    match binding.WhichOneof("value"):
        case "promise":
            binding.promise.node_id = rename(binding.promise.node_id)
        case "collection":
            for each in binding.collection.bindings:
                rename_binding(each, rename)
        case "map":
            for each in binding.map.bindings.values():
                rename_binding(each, rename)
        case _:
            pass


def sources(binding: literals_pb2.BindingData) -> Iterator[str]:
    """Yield the ids of the nodes whose outputs a binding uses."""
    match binding.WhichOneof("value"):
        case "promise":
            yield binding.promise.node_id
        case "collection":
            for each in binding.collection.bindings:
                yield from sources(each)
        case "map":
            for each in binding.map.bindings.values():
                yield from sources(each)
        case _:
            return


def _rename_in(node: workflow_pb2.Node, rename: Callable[[str], str]) -> None:
    is_branch = node.WhichOneof("target") == "branch_node"
    for binding in node.inputs:
        rename_binding(binding.binding, rename)
        if is_branch:
            binding.var = _rename_operand(binding.var, rename)
    ids = sorted(rename(each) for each in node.upstream_node_ids)
    del node.upstream_node_ids[:]
    node.upstream_node_ids.extend(ids)
    if node.WhichOneof("target") == "array_node":
        _rename_in(node.array_node.node, rename)
    elif is_branch:
        block = node.branch_node.if_else
        for arm in (block.case, *block.other):
            _rename_condition(arm.condition, rename)
        for _, inner in arms(block):
            _rename_in(inner, rename)


def _rename_condition(expression: condition_pb2.BooleanExpression, rename: Callable[[str], str]) -> None:
    """Conditions name the branch's own inputs, which are called after the node that each comes from."""
    match expression.WhichOneof("expr"):
        case "comparison":
            for operand in (expression.comparison.left_value, expression.comparison.right_value):
                if operand.WhichOneof("val") == "var":
                    operand.var = _rename_operand(operand.var, rename)
        case "conjunction":
            _rename_condition(expression.conjunction.left_expression, rename)
            _rename_condition(expression.conjunction.right_expression, rename)
        case _:
            pass


def _rename_operand(variable: str, rename: Callable[[str], str]) -> str:
    node, dot, output = variable.partition(".")  # no node stands for the workflow's own inputs
    return f"{rename(node)}{dot}{output}" if node and dot else variable


def _waits_for(node: workflow_pb2.Node) -> list[str]:
    """Return the nodes that have to be over before this one although it uses nothing of them."""
    used = {source for binding in node.inputs for source in sources(binding.binding)} | IMPLICIT
    return sorted(set(node.upstream_node_ids) - used - {""})


def _settings(metadata: workflow_pb2.NodeMetadata) -> Form:
    form = flattened(metadata)
    if (retries := form.pop("retries.retries", None)) is not None:
        form["retries"] = retries
    return form


def _branch_form(block: workflow_pb2.IfElseBlock) -> Form:
    form: Form = {}
    for index, arm in enumerate((block.case, *block.other)):
        form[f"case[{index}].if"] = Shown(condition_text(arm.condition), exact(arm.condition), str(index))
    for label, inner in arms(block):
        form |= _inner_form(label, inner)
    if block.WhichOneof("default") == "error":
        form["else.fails"] = Shown(block.error.message)
        if not NUMBERED.fullmatch(block.error.failed_node_id) and block.error.failed_node_id:
            form["else.failed_node"] = Shown(block.error.failed_node_id)
    return form


def _inner_form(label: str, inner: workflow_pb2.Node) -> Form:
    form = {f"{label}.{path}": shown for path, shown in node_form(inner).items()}
    if not NUMBERED.fullmatch(inner.id):
        form[f"{label}.id"] = Shown(inner.id)
    return form


def _array_form(node: workflow_pb2.Node) -> Form:
    """Take an array apart; its inner node repeats the inputs of the outer one."""
    rest = workflow_pb2.ArrayNode()
    rest.CopyFrom(node.array_node)
    rest.ClearField("node")
    outer = {f"inputs.{each.var}": exact(each.binding) for each in node.inputs}
    inner = {
        f"item.{path}": shown
        for path, shown in node_form(node.array_node.node).items()
        if path != "runs" and outer.get(path) != (shown.exact or b"")
    }
    return flattened(rest) | inner


def _runs(node: workflow_pb2.Node) -> Shown:
    """Return what a node runs; a workflow and a launch plan of it may have the same name."""
    kinds = "; ".join(
        f"{identifier_pb2.ResourceType.Name(each.resource_type).replace('_', ' ').lower()} "
        f"{each.project}/{each.domain}/{each.name}"
        for each in references(node)
    )
    return Shown(runs_text(node), f"{runs_text(node)} {kinds}".encode(), f"({kinds})")


def _input_text(binding: literals_pb2.Binding) -> str:
    if binding.binding.WhichOneof("value") == "promise":
        return f"{binding.var.removeprefix('.')}←{binding_text(binding.binding)}"
    text = HIDDEN if is_secret_name(binding.var) else " ".join(binding_text(binding.binding).split())
    return f"{binding.var}={text if len(text) <= _VALUE_CHARACTERS else f'{text[:_VALUE_CHARACTERS]}…'}"
