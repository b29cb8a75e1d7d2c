"""Holds what a program sends against the SDK's own input types: nested keys, required keys, enumerations, types.

Pulumi's Python SDKs check names at the top only; a misspelled nested key would fail at the provider, in the cloud.
"""

from __future__ import annotations

import collections.abc
import enum
import json
import types
import typing
from functools import cache
from typing import Any

import pulumi
from pulumi import _types  # what input classes say about themselves has no public face
from support.pulumi.wire import SIGNATURE, UNKNOWN

INPUTS: dict[str, type] = {}
_PLUMBING = (collections.abc.Awaitable, pulumi.Output)
_NOTHING = type(None)


def watch_types() -> None:
    """Note from now on which class of inputs each type of resource has."""
    before = pulumi.Resource.__init__

    def init(self: Any, t: str, name: str, custom: bool, props: Any = None, *rest: Any, **more: Any) -> None:
        if props is not None and _types.is_input_type(type(props)):
            INPUTS[t] = type(props)
        before(self, t, name, custom, props, *rest, **more)

    pulumi.Resource.__init__ = init  # type: ignore[method-assign]


def problems(token: str, inputs: dict[str, Any]) -> list[str]:
    """Return what is wrong with a resource's inputs, each with its path."""
    expected = INPUTS.get(token)
    if expected is None:
        return []
    if not token.startswith("pulumi:providers:"):
        return _object(inputs, expected, "")
    # On the wire everything but a provider's texts is JSON; texts may be JSON too, such as a kubeconfig.
    return [
        problem
        for key, value in inputs.items()
        if (found := _object({key: value}, expected, "")) and _object({key: _decoded(value)}, expected, "")
        for problem in found
    ]


def _decoded(value: Any) -> Any:
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value


def _check(value: Any, expected: Any, path: str) -> list[str]:
    if value is None or value == UNKNOWN or expected is Any:
        return []
    if isinstance(value, dict) and SIGNATURE in value:
        return _check(value["value"], expected, path) if "value" in value else []
    answers = [_one(value, each, path) for each in _alternatives(expected)]
    if not answers or any(not each for each in answers):
        return []
    return min(answers, key=len)


@cache
def _alternatives(expected: Any) -> list[Any]:
    """Return what a type may be, without what only carries a value; a closed set of texts excludes any text."""
    if typing.get_origin(expected) not in (typing.Union, types.UnionType):
        return [expected]
    found = [
        one
        for each in typing.get_args(expected)
        if each is not _NOTHING and typing.get_origin(each) not in _PLUMBING
        for one in _alternatives(each)
    ]
    return [each for each in found if each is not str] if any(map(_is_closed, found)) else found


def _one(value: Any, expected: Any, path: str) -> list[str]:
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin is typing.Literal:
        return [] if value in arguments else [f"{path}: {value!r} is not one of {list(arguments)}"]
    if origin in (list, collections.abc.Sequence, dict, collections.abc.Mapping):
        return _many(value, list if origin in (list, collections.abc.Sequence) else dict, arguments[-1], path)
    if _is_enum(expected):
        allowed = [each.value for each in expected]
        return [] if value in allowed else [f"{path}: {value!r} is not one of {allowed}"]
    if isinstance(expected, type) and _types.is_input_type(expected):
        return _object(value, expected, path)
    return _plain(value, expected, path)


def _many(value: Any, kind: type, expected: Any, path: str) -> list[str]:
    if not isinstance(value, kind):
        return [f"{path}: {value!r} is not a {kind.__name__}"]
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    shape = "{}.{}" if isinstance(value, dict) else "{}[{}]"
    return [text for key, one in parts for text in _check(one, expected, shape.format(path, key))]


def _plain(value: Any, expected: Any, path: str) -> list[str]:
    fits = {
        str: isinstance(value, str),
        bool: isinstance(value, bool),
        int: isinstance(value, int | float) and not isinstance(value, bool) and value == int(value),
        float: isinstance(value, int | float) and not isinstance(value, bool),
    }.get(expected, True)
    return [] if fits else [f"{path}: {value!r} is not a {expected.__name__}"]


def _object(value: Any, expected: type, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is not a {expected.__name__}"]
    known, hints = _described(expected)
    found = [f"{path}.{key}: {expected.__name__} has no such key" for key in value if key not in known]
    found += [
        f"{path}.{key} is missing" for key in known if key not in value and path and not _is_optional(hints.get(key))
    ]
    for key, one in value.items():
        if key in known:
            found += _check(one, hints.get(key, known[key]), f"{path}.{key}".lstrip("."))
    return found


@cache
def _described(expected: type) -> tuple[dict[str, type], dict[str, Any]]:
    """Return a class's types by key, and what its getters say, which alone tells required from optional."""
    return _types.input_type_types(expected), _types._raw_return_hints(expected)  # noqa: SLF001 - as above


def _is_optional(hint: Any) -> bool:
    return hint is None or _NOTHING in typing.get_args(hint)


def _is_closed(expected: Any) -> bool:
    """Tell a closed set of texts; of some Azure knows more than its SDK does, and calls them so."""
    return _is_enum(expected) and not expected.__name__.startswith("Known")


def _is_enum(expected: Any) -> bool:
    return isinstance(expected, type) and issubclass(expected, enum.Enum)
