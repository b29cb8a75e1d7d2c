"""Property values of Pulumi's protocol as JSON: secrets marked and veiled, so that a state shows none in clear."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict, ParseDict

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - marks a secret, is none
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

# What Pulumi's provider of Kubernetes translates; other names go to the API server as they are.
_EXTENSIONS = {
    f"x_kubernetes_{each}": f"x-kubernetes-{each.replace('_', '-')}"
    for each in (
        "embedded_resource",
        "int_or_string",
        "list_map_keys",
        "list_type",
        "map_type",
        "preserve_unknown_fields",
        "validations",
    )
}

Json = dict[str, Any]


def read(struct: struct_pb2.Struct) -> Json:
    """Return what a struct holds; secrets keep their mark."""
    return MessageToDict(struct)


def write(values: Json) -> struct_pb2.Struct:
    """Return a struct."""
    return ParseDict(values, struct_pb2.Struct())


def veiled(value: Any) -> Any:
    """Return a value as a state keeps it."""
    match value:
        case {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", **rest}:
            hidden = base64.b64encode(zlib.compress(json.dumps(rest.get("value")).encode())).decode()
            return {SIGNATURE: SECRET, "ciphertext": hidden}
        case dict():
            return {key: veiled(each) for key, each in value.items()}
        case list():
            return [veiled(each) for each in value]
        case _:
            return value


def unveiled(value: Any) -> Any:
    """Return a value as the protocol carries it."""
    match value:
        case {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": hidden}:
            return {SIGNATURE: SECRET, "value": json.loads(zlib.decompress(base64.b64decode(hidden)))}
        case dict():
            return {key: unveiled(each) for key, each in value.items()}
        case list():
            return [unveiled(each) for each in value]
        case _:
            return value


def plain(value: Any) -> Any:
    """Return a value without the marks of secrets."""
    match value:
        case dict() if SIGNATURE in value:
            return plain(value.get("value", UNKNOWN))
        case dict():
            return {key: plain(each) for key, each in value.items()}
        case list():
            return [plain(each) for each in value]
        case _:
            return value


def manifest(value: Any) -> Any:
    """Return a value as Pulumi's provider hands it to Kubernetes: some extensions of schemas have other names."""
    match value:
        case dict():
            return {_EXTENSIONS.get(key, key): manifest(each) for key, each in value.items()}
        case list():
            return [manifest(each) for each in value]
        case _:
            return value


def has_unknown(value: Any) -> bool:
    """Tell whether anything in a value is unknown."""
    match value:
        case dict():
            return any(map(has_unknown, value.values()))
        case list():
            return any(map(has_unknown, value))
        case _:
            return bool(value == UNKNOWN)
