"""A foundation across stacks: exported as outputs of a stack, and rebuilt from them in another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pulumi

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
    open_, secret = reference.require_output(OPEN), reference.require_output(SECRET)
    filled: Foundation = _filled(_filled(skeleton, open_, secret=False), secret, secret=True)
    return filled


def _filled(skeleton: Any, outputs: pulumi.Output[Any], *, secret: bool) -> Any:
    changed: dict[str, Any] = {}
    for each in fields(skeleton):
        value = getattr(skeleton, each.name)
        at = _picked(each.name)
        if _is_leaf(each, secret=secret):
            if isinstance(value, Mapping):
                changed[each.name] = {key: outputs.apply(at).apply(_picked(key)) for key in value}
            elif value is not None:
                changed[each.name] = outputs.apply(at)
        elif is_dataclass(value) and _leaves(value, secret=secret):
            changed[each.name] = _filled(value, outputs.apply(at), secret=secret)
        elif _holds_parts(value):
            changed[each.name] = {
                key: _filled(part, outputs.apply(at).apply(_picked(key)), secret=secret) for key, part in value.items()
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


def _picked(name: str) -> Callable[[Any], Any]:
    return lambda value: value[name]
