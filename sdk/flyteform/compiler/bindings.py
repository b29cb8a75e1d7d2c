"""Bindings of a node's inputs: each has a source, of the right type, once; every source makes an edge."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from flyteidl.core import types_pb2

from flyteform.compiler import casting, literals, text
from flyteform.compiler.errors import Collector, ErrorKind
from flyteform.compiler.graph import START
from flyteform.compiler.outputs import find_output

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flyteidl.core.interface_pb2 import Variable
    from flyteidl.core.literals_pb2 import BindingData, Scalar
    from flyteidl.core.types_pb2 import LiteralType, OutputReference

    from flyteform.compiler.building import Build, NodeState

_INDEXED = re.compile(r"\[(\d+)\]\.(.+)")
_UNTYPED = types_pb2.LiteralType(simple=types_pb2.NONE)


class Direction(Enum):
    """Which edges a binding makes: nodes inside branches and failure nodes only look upstream."""

    BOTH = auto()
    UPSTREAM = auto()


@dataclass(frozen=True, slots=True)
class Resolved:
    """The type of a binding that is right, and the nodes that it waits for."""

    kind: LiteralType
    sources: tuple[str, ...] = ()


def bind_inputs(
    build: Build, node: NodeState, params: Mapping[str, Variable] | None, direction: Direction
) -> dict[str, LiteralType]:
    """Check a node's bindings against its inputs, add their edges and give the types that they resolved to.

    `params` None means that the bindings themselves declare the inputs (branch and approve nodes).
    """
    resolved: dict[str, LiteralType] = {}
    bound: set[str] = set()
    for binding in node.message.inputs:
        name = binding.var
        if params is not None and name not in params:
            found = f"Variable [{name}] not found on node [{node.id}]."
            build.errors.add(ErrorKind.VARIABLE_NAME_NOT_FOUND, node.id, found)
        elif not binding.HasField("binding"):
            build.errors.value_required(node.id, "Binding")
        elif name in bound:
            found = f"Input [{name}] is bound more than once."
            build.errors.add(ErrorKind.PARAMETER_BOUND_MORE_THAN_ONCE, node.id, found)
        else:
            bound.add(name)
            expected = None if params is None else params[name].type
            one = _Binder(build, node, name, build.errors).resolve(binding.binding, expected)
            if one is not None:
                resolved[name] = one.kind
                _add_edges(build, node, one.sources, direction)
    for name, variable in (params or {}).items():
        if name not in bound and not casting.is_optional(variable.type):
            build.errors.not_bound(node.id, name)
    return resolved


def _add_edges(build: Build, node: NodeState, sources: Iterable[str], direction: Direction) -> None:
    for source in sources:
        if direction is Direction.BOTH:
            build.edges.add(source, node.id)
        else:
            build.edges.add_upstream(source, node.id)


@dataclass(frozen=True, slots=True)
class _Binder:
    """Resolves the (possibly nested) data of one binding."""

    build: Build
    node: NodeState
    name: str
    errors: Collector

    def resolve(self, data: BindingData, expected: LiteralType | None) -> Resolved | None:
        which = data.WhichOneof("value")
        if expected is not None and expected.HasField("union_type") and which not in ("scalar", "promise"):
            return self._union(data, expected)
        match which:
            case "scalar":
                return self._scalar(data.scalar, expected)
            case "promise":
                return self._promise(data.promise, expected)
            case "collection" | "map":
                return self._container(data, which, expected)
            case _:
                self._mismatching_bindings(_UNTYPED if expected is None else expected, which or "")
                return None

    def _union(self, data: BindingData, expected: LiteralType) -> Resolved | None:
        """Try each variant on its own: a list or map of bindings must fit exactly one."""
        match_, kinds = None, []
        for variant in expected.union_type.variants:
            attempt = _Binder(self.build, self.node, self.name, Collector())
            resolved = attempt.resolve(data, variant)
            if resolved is not None:
                match_ = match_ or resolved
                kinds.append(text.one_line(variant))
        if len(kinds) == 1:
            return match_
        opening = (
            f"Input [{self.name}] on node [{self.node.id}] expects bindings of union type "
            f"[{text.one_line(expected)}].  Received [{text.one_line(data)}]"
        )
        if kinds:
            found = f"{opening} which is ambiguous as both variants [{kinds[0]}] and [{kinds[1]}] match."
            self.errors.add(ErrorKind.AMBIGUOUS_BINDING_UNION_VALUE, self.node.id, found)
        else:
            found = f"{opening} which does not match any of the variants."
            self.errors.add(ErrorKind.INCOMPATIBLE_BINDING_UNION_VALUE, self.node.id, found)
        return None

    def _container(self, data: BindingData, which: str, expected: LiteralType | None) -> Resolved | None:
        wanted = _UNTYPED if expected is None else expected
        is_list = which == "collection"
        if wanted.WhichOneof("type") != ("collection_type" if is_list else "map_value_type"):
            self._mismatching_bindings(wanted, text.one_line(data.collection if is_list else data.map))
            return None
        element = wanted.collection_type if is_list else wanted.map_value_type
        items = data.collection.bindings if is_list else data.map.bindings.values()
        before = len(self.errors)
        resolved = [one for item in items if (one := self.resolve(item, element)) is not None]
        if len(self.errors) != before:
            return None
        # The declared type, not the inferred one: only inputs that declare themselves need the latter, and no list can.
        return Resolved(wanted, tuple(source for one in resolved for source in one.sources))

    def _scalar(self, scalar: Scalar, expected: LiteralType | None) -> Resolved | None:
        before = len(self.errors)
        kind = literals.type_of_scalar(scalar)
        if kind is None:
            self._unknown_scalar(scalar)
        elif expected is not None and not casting.can_cast(kind, expected):
            found = (
                f"Variable [{self.name}] (type [{text.literal_type(kind)}]) "
                f"doesn't match expected type [{text.literal_type(expected)}]."
            )
            self.errors.add(ErrorKind.MISMATCHING_TYPES, self.node.id, found)
        if expected is not None and expected.HasField("enum_type"):
            self._member(scalar.primitive.string_value, list(expected.enum_type.values))
        return Resolved(kind) if kind is not None and len(self.errors) == before else None

    def _unknown_scalar(self, scalar: Scalar) -> None:
        which = scalar.WhichOneof("value") or "nothing"
        found = (
            f"Failed to validate literal type for [{self.name}] with err: got unknown literal type: [{which}].\n"
            "Suggested solution: Please update all your Flyte deployment images to the latest version and try again"
        )
        self.errors.add(ErrorKind.INVALID_LITERAL_TYPE, self.node.id, found)
        self.errors.add(ErrorKind.UNRECOGNIZED_VALUE, self.node.id, f"Unrecognized value [{which}].")

    def _member(self, value: str, members: list[str]) -> None:
        if value not in members:
            found = (
                f"Input [{self.name}] on node [{self.node.id}] is an Enum and expects value to be one of "
                f"[[{' '.join(members)}]].  Received [{value}]"
            )
            self.errors.add(ErrorKind.ILLEGAL_ENUM_VALUE, self.node.id, found)

    def _promise(self, promise: OutputReference, expected: LiteralType | None) -> Resolved | None:
        source = self.build.nodes.get(promise.node_id or START)
        if source is None:
            found = f"Referenced node [{promise.node_id}] not found."
            self.errors.add(ErrorKind.NODE_REFERENCE_NOT_FOUND, promise.node_id, found)
            self.errors.not_bound(self.node.id, self.name)
            return None
        indexed = _INDEXED.fullmatch(promise.var)
        if indexed is None and promise.var.startswith("["):
            self.errors.add(ErrorKind.SYNTAX_ERROR, self.node.id, f"Failed to parse element [{promise.var}].")
            return None
        variable = find_output(source, indexed.group(2) if indexed else promise.var, self.errors)
        if variable is None:
            self.errors.not_bound(self.node.id, self.name)
            return None
        kind = self._part(source, promise, variable.type, is_indexed=indexed is not None, expected=expected)
        if kind is None:
            return None
        if expected is not None and not casting.can_cast(kind, expected):
            self._mismatching_variables(source, promise, kind, expected)
            return None
        promise.node_id = source.id
        return Resolved(kind, (source.id,))

    def _part(
        self,
        source: NodeState,
        promise: OutputReference,
        kind: LiteralType,
        *,
        is_indexed: bool,
        expected: LiteralType | None,
    ) -> LiteralType | None:
        """Follow an index and an attribute path into lists, maps and dataclasses to the type of the part."""
        if is_indexed:
            if not kind.HasField("collection_type"):
                self._mismatching_variables(source, promise, kind, _UNTYPED if expected is None else expected)
                return None
            kind = kind.collection_type
        for attribute in promise.attr_path:
            if kind.HasField("collection_type"):
                kind = kind.collection_type
            elif kind.HasField("map_value_type"):
                kind = kind.map_value_type
            elif kind.structure.dataclass_type:
                fields = kind.structure.dataclass_type
                if attribute.string_value not in fields:
                    found = (
                        f"Variable [{promise.var}] (type [{text.one_line(kind)}]) "
                        f"doesn't have field [{attribute.string_value}]."
                    )
                    self.errors.add(ErrorKind.FIELD_NOT_FOUND, self.node.id, found)
                    return None
                kind = fields[attribute.string_value]
        return kind

    def _mismatching_variables(
        self, source: NodeState, promise: OutputReference, kind: LiteralType, expected: LiteralType
    ) -> None:
        output, target = _qualified(source, promise.var), _qualified(self.node, self.name)
        found = (
            f"The output variable '{output}' has type [{text.literal_type(kind)}], but it's assigned to the input "
            f"variable '{target}' which has type type [{text.literal_type(expected)}]."
        )
        self.errors.add(ErrorKind.MISMATCHING_VARIABLES, self.node.id, found)

    def _mismatching_bindings(self, expected: LiteralType, received: str) -> None:
        found = (
            f"Input [{self.name}] on node [{self.node.id}] expects bindings of type [{text.one_line(expected)}].  "
            f"Received [{received}]"
        )
        self.errors.add(ErrorKind.MISMATCHING_BINDINGS, self.node.id, found)


def _qualified(node: NodeState, variable: str) -> str:
    return f"{node.message.metadata.name}.{variable}" if node.message.HasField("metadata") else variable
