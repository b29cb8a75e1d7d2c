"""Dataclasses that nobody changes, for what is made by the thousand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Make a dataclass with slots that compares and hashes by its values. That nobody changes it is mypy's to see.

    At run time it is not frozen: what is frozen sets each field by a call of its own, which makes it seven times as
    dear to create.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
