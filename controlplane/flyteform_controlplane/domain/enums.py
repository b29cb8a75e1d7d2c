"""Names of enum values, whatever number a client sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper


def name_of(enum: EnumTypeWrapper, number: int) -> str:
    """Return the value's name, or its number where it has none, as Flyte's texts do."""
    value = enum.DESCRIPTOR.values_by_number.get(number)
    return str(number) if value is None else str(value.name)
