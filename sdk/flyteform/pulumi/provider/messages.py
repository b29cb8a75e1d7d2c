"""What the core says of a change, as lines in Pulumi's preview."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyteform.provision.model import Change

_LONGEST = 200  # characters of a value


def change_text(change: Change) -> str:
    """Write a change with its reason and its fields."""
    version = f" {change.version}" if change.version else ""
    return "\n".join([f"{change.action.value}{version}: {change.reason}", *_field_lines(change)])


def _field_lines(change: Change) -> Iterator[str]:
    for field in change.fields:
        if field.before is None:
            yield f"  + {field.path}  {_folded(field.after or '')}"
        elif field.after is None:
            yield f"  - {field.path}  {_folded(field.before)}"
        else:
            yield f"  ~ {field.path}  {_folded(field.before)} → {_folded(field.after)}"


def _folded(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
