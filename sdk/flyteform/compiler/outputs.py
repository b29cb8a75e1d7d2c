"""The outputs of a node by the names under which others see them, output aliases applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform.compiler.errors import ErrorKind

if TYPE_CHECKING:
    from flyteidl.core.interface_pb2 import Variable

    from flyteform.compiler.building import NodeState
    from flyteform.compiler.errors import Collector


def check_outputs(node: NodeState, errors: Collector) -> None:
    """Work out the visible outputs once; without them (no interface, bad aliases) nobody can bind to the node."""
    before = len(errors)
    aliases = _aliases(node, errors)
    outputs: dict[str, Variable] = {}
    if node.interface is not None:
        for name, variable in node.interface.outputs.variables.items():
            outputs[aliases.pop(name, name)] = variable
        for alias in aliases.values():
            errors.not_bound(node.id, alias)
    node.outputs = outputs if len(errors) == before else None


def find_output(node: NodeState, name: str, errors: Collector) -> Variable | None:
    """Find an output that another node binds to."""
    if node.outputs is None:
        check_outputs(node, errors)
    if node.outputs is None:
        return None
    if name not in node.outputs:
        text = f"Variable [{name}] not found on node [{node.id}]."
        errors.add(ErrorKind.VARIABLE_NAME_NOT_FOUND, node.id, text)
    return node.outputs.get(name)


def _aliases(node: NodeState, errors: Collector) -> dict[str, str]:
    aliases: dict[str, str] = {}
    for alias in node.message.output_aliases:
        if alias.var in aliases:
            text = f"Duplicate alias [{alias.alias}] found. An output alias can only be used once in the Workflow."
            errors.add(ErrorKind.DUPLICATE_ALIAS, node.id, text)
        aliases.setdefault(alias.var, alias.alias)
    return aliases
