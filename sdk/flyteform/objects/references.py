"""References to objects inside messages: which there are, and the same message with others in their places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

# The fields of literals that name an object.
URI: Final = frozenset({"uri"})


def change_texts(message: Message, change: Callable[[str], str], names: Collection[str] = ()) -> None:
    """Put what `change` returns in the place of every text in the message, or of those in fields of these names."""
    for field, value in message.ListFields():
        wanted = field.type == field.TYPE_STRING and (not names or field.name in names)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _change_entries(field.message_type.fields_by_name["value"], value, change, names)
        elif field.message_type is not None:
            for one in value if field.is_repeated else (value,):
                change_texts(one, change, names)
        elif wanted and field.is_repeated:
            value[:] = [change(text) for text in value]
        elif wanted:
            setattr(message, field.name, change(value))


def collect_texts(message: Message, names: Collection[str] = ()) -> list[str]:
    """Return every text in the message, or those in fields of these names, each once."""
    found: dict[str, None] = {}

    def note(text: str) -> str:
        found[text] = None
        return text

    change_texts(message, note, names)
    return list(found)


def _change_entries(of: FieldDescriptor, value: Any, change: Callable[[str], str], names: Collection[str]) -> None:
    for key in list(value):
        if of.message_type is not None:
            change_texts(value[key], change, names)
        elif of.type == of.TYPE_STRING and not names:
            value[key] = change(value[key])
