"""Bindings to literals: what goes into a node, from the outputs of the nodes before it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core.literals_pb2 import Literal, LiteralCollection, LiteralMap, Scalar, Union, Void
from flyteidl.core.types_pb2 import SimpleType

from flyteform_dataplane.engine.failures import Failure
from flyteform_dataplane.engine.graph import START_NODE
from flyteform_dataplane.errors import UserError
from flyteform_dataplane.runner.attributes import pick

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from flyteidl.core.interface_pb2 import Variable
    from flyteidl.core.literals_pb2 import Binding, BindingData
    from flyteidl.core.types_pb2 import Error, LiteralType, OutputReference

INVALID_ARRAY_LENGTH = "InvalidArrayLength"


class BindingError(UserError):
    """An input cannot be made from what its binding names."""

    code = "BindingResolutionError"


class ArrayLengthError(UserError):
    """The lists that an array maps over do not fit together."""

    code = INVALID_ARRAY_LENGTH


def failure_of(error: UserError) -> Failure:
    """Return the error as the engine's failure of the user's doing, which no retry mends."""
    return Failure(error.code, error.message if error.remedy is None else f"{error.message}; {error.remedy}")


def referenced_nodes(bindings: Iterable[Binding]) -> set[str]:
    """Return the nodes whose outputs the bindings need; the start node stands for the execution's inputs."""
    return {reference.node_id or START_NODE for binding in bindings for reference in _references(binding.binding)}


def looked_into(bindings: Iterable[Binding]) -> set[tuple[str, str]]:
    """Return the nodes and outputs of which the bindings need a part only."""
    references = (reference for binding in bindings for reference in _references(binding.binding))
    return {(reference.node_id or START_NODE, reference.var) for reference in references if reference.attr_path}


def resolve(
    bindings: Sequence[Binding],
    outputs: Mapping[str, LiteralMap],
    variables: Mapping[str, Variable] | None = None,
) -> LiteralMap:
    """Return the literals that the bindings name; `variables` gives the types of the places they go to."""
    resolved = LiteralMap()
    for binding in bindings:
        target = variables[binding.var].type if variables is not None and binding.var in variables else None
        try:
            resolved.literals[binding.var].CopyFrom(_literal(binding.binding, outputs, target))
        except UserError as error:
            raise BindingError(f"input {binding.var!r} cannot be made: {error.message}") from error
    return resolved


def array_size(inputs: LiteralMap, bound: frozenset[str]) -> int:
    """Return how many items an array has; lists that are not bound whole must have one length."""
    sizes = {
        name: len(literal.collection.literals)
        for name, literal in inputs.literals.items()
        if name not in bound and literal.WhichOneof("value") == "collection"
    }
    if not sizes:
        raise ArrayLengthError("a map needs at least one input that is a list")
    if len(set(sizes.values())) > 1:
        lengths = ", ".join(f"{name} has {size}" for name, size in sorted(sizes.items()))
        raise ArrayLengthError(f"the lists of a map must have one length, but {lengths}")
    return next(iter(sizes.values()))


def item_inputs(inputs: LiteralMap, bound: frozenset[str], index: int) -> LiteralMap:
    """Return the inputs of one item of an array."""
    picked = LiteralMap()
    for name, literal in inputs.literals.items():
        whole = name in bound or literal.WhichOneof("value") != "collection"
        picked.literals[name].CopyFrom(literal if whole else literal.collection.literals[index])
    return picked


def give_error(inputs: LiteralMap, variables: Mapping[str, Variable], error: Error) -> None:
    """Give the error of a workflow to the inputs of its failure node that are of that type."""
    for name, variable in variables.items():
        kinds = [variable.type, *variable.type.union_type.variants]
        kind = next((one for one in kinds if one.simple == SimpleType.ERROR and one.HasField("simple")), None)
        if kind is None:
            continue
        literal = Literal(scalar=Scalar(error=error))
        if kind is not variable.type:
            literal = Literal(scalar=Scalar(union=Union(value=literal, type=kind)))
        inputs.literals[name].CopyFrom(literal)


def collect(names: Iterable[str], items: Sequence[LiteralMap | None]) -> LiteralMap:
    """Return the outputs of an array: a list for each output, with none where an item failed."""
    collected = LiteralMap()
    for name in names:
        literals = collected.literals[name].collection.literals
        for item in items:
            literals.append(item.literals[name] if item is not None and name in item.literals else _none())
        collected.literals[name].collection.SetInParent()
    return collected


def _none() -> Literal:
    return Literal(scalar=Scalar(none_type=Void()))


def _references(data: BindingData) -> Iterator[OutputReference]:
    match data.WhichOneof("value"):
        case "promise":
            yield data.promise
        case "collection":
            for item in data.collection.bindings:
                yield from _references(item)
        case "map":
            for item in data.map.bindings.values():
                yield from _references(item)
        case _:
            pass


def _literal(data: BindingData, outputs: Mapping[str, LiteralMap], target: LiteralType | None) -> Literal:
    match data.WhichOneof("value"):
        case "scalar":
            return Literal(scalar=data.scalar)
        case "promise":
            return _promised(data.promise, outputs, target)
        case "collection":
            inner = target.collection_type if target is not None and target.HasField("collection_type") else None
            items = [_literal(item, outputs, inner) for item in data.collection.bindings]
            return Literal(collection=LiteralCollection(literals=items))
        case "map":
            inner = target.map_value_type if target is not None and target.HasField("map_value_type") else None
            entries = {key: _literal(item, outputs, inner) for key, item in data.map.bindings.items()}
            return Literal(map=LiteralMap(literals=entries))
        case "offloaded_metadata":
            return Literal(offloaded_metadata=data.offloaded_metadata)
        case _:
            return _none()


def _promised(promise: OutputReference, outputs: Mapping[str, LiteralMap], target: LiteralType | None) -> Literal:
    node = promise.node_id or START_NODE
    literals = outputs[node].literals
    if promise.var not in literals:
        place = "the execution has no input" if node == START_NODE else f"node {node} has no output"
        raise UserError(f"{place} {promise.var!r}")
    return pick(literals[promise.var], promise.attr_path, target)
