"""Rules that a setting's value has to meet, for tables of settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def contains(*parts: Any) -> Callable[[Any], bool]:
    """Require every one of these in a text, a list or a mapping."""
    return _named(f"contains {parts}", lambda value: all(part in value for part in parts))


def is_set(value: Any) -> bool:
    """Require that it is there."""
    return value not in (None, "", [], {})


def at_least(number: float) -> Callable[[Any], bool]:
    """Require this much or more."""
    return _named(f"at least {number}", lambda value: bool(value >= number))


def _named(name: str, rule: Callable[[Any], bool]) -> Callable[[Any], bool]:
    rule.__name__ = name
    return rule
