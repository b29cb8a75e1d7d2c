"""Definitions taken apart into named fields that can be compared: nothing is left out, and order does not count.

A field has the text that people read and what it is compared by: the whole of it, as texts leave things out.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.protobuf.json_format import MessageToDict

from flyteform.provision.model import FieldChange
from flyteform.provision.text import type_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flyteidl.core import interface_pb2
    from google.protobuf.message import Message


@dataclass(frozen=True, slots=True)
class Shown:
    """One field: its text, what it is compared by where the text does not say all, and what tells more then."""

    text: str
    exact: bytes | None = None
    detail: str = ""
    message: Message | None = None

    def is_same(self, other: Shown) -> bool:
        """Tell whether there is no difference."""
        if self.exact is not None and other.exact is not None:
            return self.exact == other.exact
        return self.text == other.text


Form = dict[str, Shown]


def differences(before: Mapping[str, Shown], after: Mapping[str, Shown]) -> tuple[FieldChange, ...]:
    """Return the fields that are not the same, sorted by path."""
    return tuple(
        _change(path, before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if not _same(before.get(path), after.get(path))
    )


def _same(one: Shown | None, other: Shown | None) -> bool:
    return one is not None and other is not None and one.is_same(other)


def _change(path: str, before: Shown | None, after: Shown | None) -> FieldChange:
    """Show both texts; the details too where the texts alone look the same."""
    texts = [None if each is None else each.text for each in (before, after)]
    if before is not None and after is not None and before.text == after.text:
        texts = [f"{each.text} {_more(each)}".rstrip() for each in (before, after)]
        if texts[0] == texts[1]:
            texts[1] = f"{texts[1]} (differs)"
    return FieldChange(path, *texts)


def exact(message: Message) -> bytes:
    """Return the same bytes for the same message."""
    return message.SerializeToString(deterministic=True)


def of_message(text: str, message: Message) -> Shown:
    """Return a field that is compared by its whole message, which is shown where the text does not tell two apart."""
    return Shown(text, exact(message), message=message)


def _more(shown: Shown) -> str:
    """Write what is behind a text as one line of JSON: only where it is needed, as it takes long."""
    if shown.message is None:
        return shown.detail
    return json.dumps(document_of(shown.message), sort_keys=True, ensure_ascii=False)


def interface_form(interface: interface_pb2.TypedInterface) -> Form:
    """Take an interface apart: types by name, and what is said about them."""
    form: Form = {}
    for word, variables in (("inputs", interface.inputs.variables), ("outputs", interface.outputs.variables)):
        for name, variable in variables.items():
            form[f"{word}.{name}"] = of_message(type_text(variable.type), variable.type)
            if variable.description not in ("", name):  # SDKs describe by the name where nobody describes
                form[f"{word}.{name}.description"] = Shown(variable.description)
            rest = type(variable)()
            rest.CopyFrom(variable)
            rest.ClearField("type")
            rest.ClearField("description")
            form |= flattened(rest, f"{word}.{name}.artifact")
    return form


def flattened(message: Message, prefix: str = "") -> Form:
    """Take any message apart, down to its scalars. Entries of lists that have a name are told apart by it."""
    return {path: Shown(text) for path, text in _leaves(document_of(message), prefix)}


def document_of(message: Message) -> dict[str, Any]:
    """Write a message as JSON values; one with numbers that JSON does not have, by a digest: its text may be secret."""
    try:
        document: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    except (json_format.Error, ValueError):
        return {"content": hashlib.sha256(exact(message)).hexdigest()}
    return document


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for key in value:
                yield from _leaves(value[key], f"{path}.{key}" if path else key)
        case list() if value and all(isinstance(each, dict) for each in value):
            for label, each in _labelled(value):
                yield from _leaves(each, f"{path}{label}")
        case list() if value:
            yield path, json.dumps(value, ensure_ascii=False)
        case list():
            yield path, "[]"
        case str():
            yield path, value
        case _:
            yield path, json.dumps(value)


def _labelled(entries: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a list under their names, where all have one of their own; under numbers otherwise."""
    for key in ("name", "key"):
        names = [each.get(key) for each in entries]
        if all(isinstance(name, str) and name for name in names) and len(set(names)) == len(names):
            for name, each in zip(names, entries, strict=True):
                rest = {word: value for word, value in each.items() if word != key}
                yield f".{name}", rest["value"] if rest.keys() == {"value"} else rest or name
            return
    for index, each in enumerate(entries):
        yield f"[{index}]", each
