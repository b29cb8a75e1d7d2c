"""Which method a request goes to: routes from `google.api.http` annotations, found by a trie."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.api import annotations_pb2

from flyteform_controlplane.rest.fields import FieldSetter, setter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from google.api.http_pb2 import HttpRule

    from flyteform_controlplane.transport.methods import Method

_VARIABLE = re.compile(r"\{([a-z0-9_.]+)(?:=\*)?\}").fullmatch


@dataclass(frozen=True, slots=True)
class Route:
    """One binding of a method: `variables` set fields from the path's variable segments, in their order.

    `body` is the field that the body goes to, "*" for the whole message, "" for none.
    """

    method: Method
    verb: str
    template: str
    variables: tuple[FieldSetter, ...]
    body: str


@dataclass(frozen=True, slots=True)
class Match:
    """The route of a request, and the texts of its path variables, decoded."""

    route: Route
    values: tuple[str, ...]


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    variable: _Node | None = None
    routes: dict[str, Route] = field(default_factory=dict)


class Router:
    """Finds routes; a literal segment goes before a variable one, whatever the order of declaration."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def match(self, verb: str, segments: Sequence[str]) -> Match | tuple[str, ...]:
        """Find the route for the decoded segments of a path; if there is none, the verbs that the path has."""
        verbs: set[str] = set()
        for node, values in _leaves(self._root, segments):
            if verb in node.routes:
                return Match(node.routes[verb], values)
            verbs.update(node.routes)
        return tuple(sorted(verbs))

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.template.strip("/").split("/"):
            if _VARIABLE(segment):
                node.variable = node.variable or _Node()
                node = node.variable
            else:
                node = node.literals.setdefault(segment, _Node())
        other = node.routes.setdefault(route.verb, route)
        if other is not route:
            raise ValueError(f"{route.verb} {route.template} is bound to {other.method.name} and {route.method.name}")


def _leaves(
    node: _Node, segments: Sequence[str], values: tuple[str, ...] = ()
) -> Iterator[tuple[_Node, tuple[str, ...]]]:
    if not segments:
        if node.routes:
            yield node, values
        return
    first, rest = segments[0], segments[1:]
    if first in node.literals:
        yield from _leaves(node.literals[first], rest, values)
    if node.variable is not None and first:
        yield from _leaves(node.variable, rest, (*values, first))


def routes_of(methods: Sequence[Method]) -> tuple[Route, ...]:
    """Read the HTTP bindings of all unary methods; `ValueError` for a binding that cannot be served."""
    return tuple(
        _route(method, binding)
        for method in methods
        for binding in _bindings(method)
        if binding.WhichOneof("pattern") and not method.streams
    )


def _bindings(method: Method) -> tuple[HttpRule, ...]:
    extensions: Any = method.descriptor.GetOptions().Extensions
    rule: HttpRule = extensions[annotations_pb2.http]
    return (rule, *rule.additional_bindings)


def _route(method: Method, rule: HttpRule) -> Route:
    pattern = rule.WhichOneof("pattern")
    verb = rule.custom.kind if pattern == "custom" else str(pattern)
    template = rule.custom.path if pattern == "custom" else str(getattr(rule, verb))
    return Route(method, verb.upper(), template, tuple(_variables(method, template)), rule.body)


def _variables(method: Method, template: str) -> Iterator[FieldSetter]:
    for segment in template.strip("/").split("/"):
        variable = _VARIABLE(segment)
        if variable is None and ("{" in segment or "*" in segment):
            raise ValueError(f"{method.name}: the path template {template} has the unknown form {segment}")
        if variable is not None:
            found = setter(method.descriptor.input_type, variable[1])
            if found is None:
                raise ValueError(f"{method.name}: the path variable {variable[1]} is no field that a text can set")
            yield found
