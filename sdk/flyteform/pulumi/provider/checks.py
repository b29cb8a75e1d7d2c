"""Checks of inputs: defaults filled in, and every failure with the path of the property that it is about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyteform.errors import InvalidInputError
from flyteform.provision.model import Kind
from flyteform.pulumi.kinds import Property, ResourceType, Shape
from flyteform.pulumi.provider.errors import UnreadableInputError
from flyteform.pulumi.provider.paths import path_text
from flyteform.pulumi.provider.subjects import subject_of
from flyteform.pulumi.provider.values import UNKNOWN
from flyteform.schedules import validate_schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from flyteform.pulumi.provider.paths import Path

_WORDS = {
    Shape.TEXT: "a text",
    Shape.FLAG: "true or false",
    Shape.NUMBER: "a whole number",
    Shape.LIST: "a list of texts",
    Shape.TEXTS: "a map of texts",
    Shape.TREE: "a map",
}
_FITS: dict[Shape, Callable[[Any], bool]] = {
    Shape.TEXT: lambda value: isinstance(value, str),
    Shape.FLAG: lambda value: isinstance(value, bool),
    Shape.NUMBER: lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
    ),
    Shape.LIST: lambda value: (
        isinstance(value, list) and all(each is UNKNOWN or isinstance(each, str) for each in value)
    ),
    Shape.TEXTS: lambda value: isinstance(value, dict),
    Shape.TREE: lambda value: isinstance(value, dict),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one property cannot be."""

    path: str
    reason: str


def check_inputs(
    described: ResourceType, before: Mapping[str, Any], given: Mapping[str, Any], defaults: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[Failure, ...]]:
    """Return the inputs with `defaults` filled in, and what is wrong with them."""
    inputs = {name: value for name, value in given.items() if value is not None}
    for name, each in described.inputs.items():
        if name in defaults and each.address and not each.required:
            # Settings without a domain are those of the whole project.
            inputs.setdefault(name, "" if described.kind is Kind.SETTINGS and name == "domain" else defaults[name])
    failures = tuple(_shape_failures(described.inputs.values(), inputs))
    if not failures and described.kind is not Kind.PROJECT:
        failures = (*_content_failures(described, inputs), *_pin_failures(before, inputs))
    return inputs, failures


def _shape_failures(properties: Iterable[Property], inputs: Mapping[str, Any]) -> Iterator[Failure]:
    known = {each.name: each for each in properties}
    for name in sorted(inputs.keys() - known.keys()):
        yield Failure(path_text((name,)), f"there is no such property: there are {', '.join(sorted(known))}")
    for name, described in known.items():
        if name in inputs:
            yield from _value_failures(described, inputs[name])
        elif described.required or described.address:
            yield Failure(name, "is missing")


def _value_failures(described: Property, value: Any) -> Iterator[Failure]:
    path = described.name
    if value is UNKNOWN:
        return
    if not _FITS[described.shape](value):
        yield Failure(path, f"is not {_WORDS[described.shape]}")
    elif isinstance(value, dict) and described.shape is Shape.TEXTS:
        for key, each in value.items():
            if each is not UNKNOWN and not isinstance(each, str):
                yield Failure(path_text((path, key)), "is not a text")
    elif isinstance(value, str) and described.form is not None and not re.fullmatch(described.form.pattern, value):
        yield Failure(path, f"{value!r} {described.form.problem}")


def check_configuration(properties: Iterable[Property], values: Mapping[str, Any]) -> tuple[Failure, ...]:
    """Return what is wrong with the provider's configuration."""
    return tuple(_shape_failures(properties, values))


def _content_failures(described: ResourceType, inputs: Mapping[str, Any]) -> Iterator[Failure]:
    try:
        subject_of(described, inputs)
    except UnreadableInputError as error:
        yield Failure(error.path, error.message)
        return
    if described.kind is Kind.LAUNCH_PLAN:
        yield from _schedule_failures(inputs["spec"])


def _schedule_failures(spec: Any) -> Iterator[Failure]:
    for path in (
        ("entity_metadata", "schedule", "cron_schedule", "schedule"),
        ("entity_metadata", "schedule", "cron_expression"),
    ):
        expression = _at(spec, path)
        if isinstance(expression, str) and expression:
            try:
                validate_schedule(expression)
            except InvalidInputError as error:
                yield Failure(path_text(("spec", *path)), error.message)


def _at(tree: Any, path: Path) -> Any:
    for step in path:
        tree = tree.get(step) if isinstance(tree, dict) else None
    return tree


def _pin_failures(before: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[Failure]:
    """Hold a version that is given to what it was registered as."""
    version = inputs.get("version")
    if version is not None and version is not UNKNOWN and before.get("version") == version:
        changed = [name for name in ("spec", "calls") if before.get(name) != inputs.get(name)]
        if changed and not _moved(before, inputs):
            yield Failure("version", f"{version!r} is registered, and {changed[0]} has changed: give another, or none")


def _moved(before: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    return any(before.get(name) != inputs.get(name) for name in ("project", "domain", "name"))
