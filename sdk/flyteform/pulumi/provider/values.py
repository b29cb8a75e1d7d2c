"""Values as Pulumi's protocol carries them, to plain Python and back; what is unknown or secret stays so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import struct_pb2

from flyteform.errors import InvalidInputError
from flyteform.pulumi.provider.paths import path_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from flyteform.pulumi.provider.paths import Path

# Pulumi's protocol: https://github.com/pulumi/pulumi, sdk/proto and its marshalling rules.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - marks a secret, is none
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS = frozenset(
    {
        _UNKNOWN_TEXT,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # a boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # a number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # a list
        "030794c1-ac77-496b-92df-f27374a8bd58",  # an asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # an archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # an object
    }
)


class Unknown:
    """A value that is known only after something else is created."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, slots=True)
class Properties:
    """A tree of None, bool, float, str, list, dict and UNKNOWN, and the paths below which all is secret."""

    values: dict[str, Any] = field(default_factory=dict)
    secrets: frozenset[Path] = frozenset()


def decode(struct: struct_pb2.Struct) -> Properties:
    """Read what the engine sent; `InvalidInputError` for assets and resources, of no use here."""
    secrets: set[Path] = set()
    values = {key: _decode(value, (key,), secrets) for key, value in struct.fields.items()}
    return Properties(values, frozenset(secrets))


def decode_some(struct: struct_pb2.Struct, names: Iterable[str]) -> dict[str, Any]:
    """Read a few properties, secret or not."""
    return {name: _decode(struct.fields[name], (name,), set()) for name in names if name in struct.fields}


def encode(values: Mapping[str, Any], secrets: Collection[Path] = ()) -> struct_pb2.Struct:
    """Write for the engine; what lies at one of the paths of `secrets` is marked as secret."""
    struct = struct_pb2.Struct()
    for key, value in values.items():
        _encode(value, struct.fields[key], (key,), secrets)
    return struct


def has_unknown(value: Any) -> bool:
    """Tell whether any part of a value is unknown."""
    return any(True for _ in unknown_paths(value))


def unknown_paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield where a value is unknown."""
    match value:
        case Unknown():
            yield path
        case dict():
            for key, each in value.items():
                yield from unknown_paths(each, (*path, key))
        case list():
            for at, each in enumerate(value):
                yield from unknown_paths(each, (*path, at))


def at_path(tree: Any, path: Path) -> Any:
    """Return what lies at a path, None if nothing does."""
    for step in path:
        inside = step in tree if isinstance(tree, dict) else isinstance(tree, list) and int(step) < len(tree)
        tree = tree[step] if inside else None
    return tree


def without(value: Any, secrets: Collection[Path], path: Path = ()) -> Any:
    """Return a copy in which what is secret is left out."""
    match value:
        case dict():
            shown = ((key, each) for key, each in value.items() if (*path, key) not in secrets)
            return {key: without(each, secrets, (*path, key)) for key, each in shown}
        case list():
            indexed = ((at, each) for at, each in enumerate(value) if (*path, at) not in secrets)
            return [without(each, secrets, (*path, at)) for at, each in indexed]
        case _:
            return value


def _decode(value: struct_pb2.Value, path: Path, secrets: set[Path]) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
        case "bool_value":
            return value.bool_value
        case "number_value":
            return value.number_value
        case "list_value":
            return [_decode(each, (*path, at), secrets) for at, each in enumerate(value.list_value.values)]
        case "struct_value":
            return _decode_struct(value.struct_value, path, secrets)
        case _:
            return None


def _decode_struct(struct: struct_pb2.Struct, path: Path, secrets: set[Path]) -> Any:
    fields = struct.fields
    if _SIGNATURE not in fields:
        return {key: _decode(each, (*path, key), secrets) for key, each in fields.items()}
    signature = fields[_SIGNATURE].string_value
    if signature not in (_SECRET, _OUTPUT):
        raise InvalidInputError(f"{path_text(path)} is an asset or a resource", remedy="give a plain value")
    if signature == _SECRET or fields["secret"].bool_value:
        secrets.add(path)
    if "value" not in fields:
        return UNKNOWN
    return _decode(fields["value"], path, secrets)


def _encode(value: Any, into: struct_pb2.Value, path: Path, secrets: Collection[Path]) -> None:
    if secrets and path in secrets:
        wrapped = into.struct_value.fields
        wrapped[_SIGNATURE].string_value = _SECRET
        into = wrapped["value"]
    match value:
        case None:
            into.null_value = struct_pb2.NULL_VALUE
        case bool():
            into.bool_value = value
        case int() | float():
            into.number_value = value
        case str():
            into.string_value = value
        case Unknown():
            into.string_value = _UNKNOWN_TEXT
        case list() | tuple():
            into.list_value.SetInParent()
            for at, each in enumerate(value):
                _encode(each, into.list_value.values.add(), (*path, at), secrets)
        case _:
            into.struct_value.SetInParent()
            for key, each in value.items():
                _encode(each, into.struct_value.fields[key], (*path, key), secrets)
