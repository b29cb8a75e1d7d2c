"""What inputs and outputs are bound to."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from flyteidl.core import literals_pb2, types_pb2

from flyteform.authoring.graph import Binding, Constant, ListOf, MapOf, Reference

if TYPE_CHECKING:
    from collections.abc import Iterable


def bindings(bound: Iterable[tuple[str, Binding]]) -> list[literals_pb2.Binding]:
    """Return the bindings in their order."""
    return [literals_pb2.Binding(var=name, binding=_data(binding)) for name, binding in bound]


def _data(binding: Binding) -> literals_pb2.BindingData:
    match binding:
        case Constant(value=value, family=family):
            return _constant(family.to_literal(value))
        case Reference(node_id=node_id, output=output, path=path):
            steps = [_step(step) for step in path]
            promise = types_pb2.OutputReference(node_id=node_id, var=output, attr_path=steps)
            return literals_pb2.BindingData(promise=promise)
        case ListOf(items=items):
            collection = literals_pb2.BindingDataCollection(bindings=[_data(item) for item in items])
            return literals_pb2.BindingData(collection=collection)
        case MapOf(entries=entries):
            entry_data = {key: _data(item) for key, item in entries}
            return literals_pb2.BindingData(map=literals_pb2.BindingDataMap(bindings=entry_data))
        case _:
            assert_never(binding)


def _step(step: str | int) -> types_pb2.PromiseAttribute:
    if isinstance(step, int):
        return types_pb2.PromiseAttribute(int_value=step)
    return types_pb2.PromiseAttribute(string_value=step)


def _constant(literal: literals_pb2.Literal) -> literals_pb2.BindingData:
    """Return a literal as binding data, which has collections and maps of its own."""
    match literal.WhichOneof("value"):
        case "collection":
            items = [_constant(item) for item in literal.collection.literals]
            return literals_pb2.BindingData(collection=literals_pb2.BindingDataCollection(bindings=items))
        case "map":
            entries = {key: _constant(item) for key, item in literal.map.literals.items()}
            return literals_pb2.BindingData(map=literals_pb2.BindingDataMap(bindings=entries))
        case _:
            return literals_pb2.BindingData(scalar=literal.scalar)
