"""Bindings to literals: every kind of binding and attribute path."""

from __future__ import annotations

import msgpack
import pytest
from flyteidl.core.interface_pb2 import Variable
from flyteidl.core.literals_pb2 import (
    Binary,
    Binding,
    BindingData,
    Literal,
    LiteralCollection,
    LiteralMap,
    Scalar,
    Union,
)
from flyteidl.core.types_pb2 import LiteralType, OutputReference, PromiseAttribute, SimpleType
from google.protobuf.struct_pb2 import Struct

from flyteform_dataplane.runner.literals import (
    ArrayLengthError,
    BindingError,
    array_size,
    collect,
    item_inputs,
    referenced_nodes,
    resolve,
)
from support.closures import bound, integer, integers, literals, promise


def path(*steps: str | int) -> list[PromiseAttribute]:
    """Return an attribute path."""
    return [PromiseAttribute(string_value=s) if isinstance(s, str) else PromiseAttribute(int_value=s) for s in steps]


def picked(value: Literal, *steps: str | int, target: int | None = None) -> Literal:
    """Resolve one input that is bound to an attribute of a node's output."""
    data = BindingData(promise=OutputReference(node_id="n", var="o", attr_path=path(*steps)))
    variables = None if target is None else {"x": Variable(type=LiteralType(simple=target))}  # type: ignore[arg-type]
    outputs = {"n": LiteralMap(literals={"o": value})}
    return resolve([Binding(var="x", binding=data)], outputs, variables).literals["x"]


def packed(value: object) -> Literal:
    """Return a dataclass as Flyte's binary literal."""
    return Literal(scalar=Scalar(binary=Binary(value=msgpack.packb(value), tag="msgpack")))


def test_constants_collections_and_maps() -> None:
    """Constants stay, promises are replaced wherever they are nested, and the execution's inputs are the start's."""
    nested = BindingData()
    nested.map.bindings["a"].collection.bindings.extend([bound(1), promise("n", "o"), promise("", "i")])
    bindings = [Binding(var="x", binding=nested), Binding(var="y", binding=bound(2))]
    outputs = {"n": literals(o=5), "start-node": literals(i=6)}
    assert referenced_nodes(bindings) == {"n", "start-node"}
    resolved = resolve(bindings, outputs)
    assert resolved.literals["x"].map.literals["a"] == integers(1, 5, 6)
    assert resolved.literals["y"] == integer(2)


def test_unbound_value_is_none() -> None:
    """A binding without a value is none."""
    resolved = resolve([Binding(var="x", binding=BindingData())], {})
    assert resolved.literals["x"].scalar.HasField("none_type")


def test_attributes_of_lists_maps_and_unions() -> None:
    """Indexes and keys go through lists and maps, also inside of a union."""
    value = Literal(map=LiteralMap(literals={"k": integers(4, 5)}))
    assert picked(value, "k", 1) == integer(5)
    assert picked(value, "k", -1) == integer(5)
    union = Literal(scalar=Scalar(union=Union(value=integers(7))))
    assert picked(union, 0) == integer(7)


def test_attributes_of_dataclasses() -> None:
    """As in Flyte a field stays msgpack, unless its place is of a plain type; a list becomes a collection."""
    value = packed({"a": {"b": [1, 2.5, "s", True, None]}})
    assert picked(value, "a", "b", 0) == packed(1)
    items = [packed(item) for item in (1, 2.5, "s", True, None)]
    assert picked(value, "a", "b") == Literal(collection=LiteralCollection(literals=items))
    assert picked(value, "a") == packed({"b": [1, 2.5, "s", True, None]})
    assert picked(value, "a", "b", 0, target=SimpleType.INTEGER) == integer(1)
    assert picked(value, "a", "b", 0, target=SimpleType.FLOAT).scalar.primitive.float_value == 1.0
    assert picked(value, "a", "b", 2, target=SimpleType.STRING).scalar.primitive.string_value == "s"
    assert picked(value, "a", "b", 3, target=SimpleType.BOOLEAN).scalar.primitive.boolean
    assert picked(value, "a", "b", 3, target=SimpleType.STRING) == packed(True)


def test_attributes_of_structs() -> None:
    """The older form of a dataclass, a Struct, gives literals of their own kind."""
    generic = Struct()
    generic.update({"a": {"n": 2, "l": [1, 2]}})
    value = Literal(scalar=Scalar(generic=generic))
    assert picked(value, "a", "n") == integer(2)
    assert picked(value, "a", "l") == integers(1, 2)
    assert picked(value, "a").scalar.generic["n"] == 2


@pytest.mark.parametrize(
    ("value", "steps", "message"),
    [
        (integers(1), (1,), "index 1 is outside of a list of 1 items"),
        (integers(1), ("a",), "a list has no attribute 'a'"),
        (Literal(map=literals(k=1)), ("z",), "key 'z' is not in the map"),
        (integer(1), ("a",), "a primitive value"),
        (packed({"a": 1}), ("b",), "no attribute 'b'"),
        (packed({"a": "text"}), ("a", 0), r"no attribute \[0\]"),
    ],
)
def test_paths_that_lead_nowhere(value: Literal, steps: tuple[str | int, ...], message: str) -> None:
    """A path that does not fit names the input and what is missing."""
    with pytest.raises(BindingError, match=f"input 'x' cannot be made: .*{message}"):
        picked(value, *steps)


def test_sizes_of_arrays() -> None:
    """The lists that are not bound whole give the size and must agree on it."""
    assert array_size(literals(x=integers(1, 2), y=3), frozenset()) == 2
    assert array_size(literals(x=integers(1, 2), y=integers(1)), frozenset({"y"})) == 2
    with pytest.raises(ArrayLengthError, match="x has 2, y has 1"):
        array_size(literals(x=integers(1, 2), y=integers(1)), frozenset())
    with pytest.raises(ArrayLengthError, match="at least one input"):
        array_size(literals(y=3), frozenset())


def test_inputs_of_an_item() -> None:
    """An item gets its own element of each list, and whole what is bound whole or no list."""
    inputs = literals(x=integers(1, 2), y=integers(8, 9), z=3)
    assert item_inputs(inputs, frozenset({"y"}), 1) == literals(x=2, y=integers(8, 9), z=3)


def test_collected_outputs() -> None:
    """Each output is a list in the items' order; a failed item gives none."""
    collected = collect(["o"], [literals(o=1), None])
    found = collected.literals["o"].collection.literals
    assert found[0] == integer(1)
    assert found[1].scalar.HasField("none_type")
