"""A resource as rules see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Problems = Iterator[str]


@dataclass(frozen=True, slots=True)
class Resource:
    """Type, logical name and inputs (camelCase, as on the wire) of a resource. `stack` is its stack's name."""

    type: str
    name: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    protect: bool = False
    stack: str = ""

    @property
    def is_production(self) -> bool:
        """Whether its stack is production's, by its name."""
        return self.stack.split("-")[0] == "prod"

    def at(self, path: str) -> Any:
        """Return the input at a path of mappings, such as `spec.template`; None where there is none."""
        value: Any = self.inputs
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value


def expect(resource: Resource, **wanted: Any) -> Problems:
    """Yield the inputs that are not as wanted; `a__b` is the path `a.b`."""
    for name, value in wanted.items():
        path = name.replace("__", ".")
        if resource.at(path) != value:
            yield f"{path} is {resource.at(path)!r}, and has to be {value!r}"
