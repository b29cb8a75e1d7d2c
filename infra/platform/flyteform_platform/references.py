"""A foundation across stacks: exported as outputs of a stack, and rebuilt from them in another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pulumi
from flyteform_platform.errors import PlatformError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform_platform.foundation import Foundation

# Two outputs, as one that holds a secret is secret as a whole.
OPEN: Final = "foundation"
SECRET: Final = "foundationSecrets"  # noqa: S105 - an output's name
_SECRETS: Final = frozenset({"kubeconfig", "keys", "value"})


def export(foundation: Foundation) -> None:
    """Export the stack's foundation: those of its fields that outputs may be in."""
    pulumi.export(OPEN, _leaves(foundation, secret=False))
    pulumi.export(SECRET, pulumi.Output.secret(_leaves(foundation, secret=True)))


def imported(reference: pulumi.StackReference, skeleton: Foundation) -> Foundation:
    """Return the skeleton with its `Input` fields taken from another stack's outputs.

    The skeleton is the foundation as the same configuration makes it without resources: its structure (which
    databases log in how, which scopes have identities) is the configuration's, its `Input` fields may hold anything.
    """
    for name, secret in ((OPEN, False), (SECRET, True)):
        outputs = required(reference, name)
        place = _Place(reference._name, name)  # noqa: SLF001 - a stack's own name has no public face
        skeleton = _filled(skeleton, outputs, place, secret=secret)
    return skeleton


def required(reference: pulumi.StackReference, name: str) -> pulumi.Output[Any]:
    """Return an output of another stack; `PlatformError` that says which stack to bring up, where it has none."""
    place = _Place(reference._name, name)  # noqa: SLF001 - a stack's own name has no public face
    return reference.get_output(name).apply(place.found)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where something is in another stack's outputs: for messages."""

    stack: str
    path: str

    def part(self, name: str) -> _Place:
        return _Place(self.stack, f"{self.path}.{name}")

    def found(self, value: Any) -> Any:
        """Return a value that is there."""
        if value is None:
            raise PlatformError(
                f"the stack {self.stack} has no output {self.path}: it was not brought up yet, or by an older "
                "program or another configuration; run `pulumi up` there first"
            )
        return value

    def picked(self, name: str) -> Callable[[Any], Any]:
        """Return what takes a part of the value at this place."""
        return lambda value: self.part(name).found(value.get(name) if isinstance(value, Mapping) else None)


def _filled(skeleton: Any, outputs: pulumi.Output[Any], place: _Place, *, secret: bool) -> Any:
    changed: dict[str, Any] = {}
    for each in fields(skeleton):
        value = getattr(skeleton, each.name)
        at, below = place.picked(each.name), place.part(each.name)
        if _is_leaf(each, secret=secret):
            if isinstance(value, Mapping):
                changed[each.name] = {key: outputs.apply(at).apply(below.picked(key)) for key in value}
            elif value is not None:
                changed[each.name] = outputs.apply(at)
        elif is_dataclass(value) and _leaves(value, secret=secret):
            changed[each.name] = _filled(value, outputs.apply(at), below, secret=secret)
        elif _holds_parts(value):
            changed[each.name] = {
                key: _filled(part, outputs.apply(at).apply(below.picked(key)), below.part(key), secret=secret)
                for key, part in value.items()
            }
    return replace(skeleton, **changed)


def _leaves(value: Any, *, secret: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in fields(value):
        part = getattr(value, each.name)
        if _is_leaf(each, secret=secret):
            if part is not None and part != {}:
                found[each.name] = part
        elif is_dataclass(part) and (leaves := _leaves(part, secret=secret)):
            found[each.name] = leaves
        elif _holds_parts(part):
            found[each.name] = {key: _leaves(one, secret=secret) for key, one in part.items()}
    return found


def _is_leaf(each: Field[Any], *, secret: bool) -> bool:
    return "Input[" in str(each.type) and (each.name in _SECRETS) is secret


def _holds_parts(value: Any) -> bool:
    return isinstance(value, Mapping) and any(map(is_dataclass, value.values()))
