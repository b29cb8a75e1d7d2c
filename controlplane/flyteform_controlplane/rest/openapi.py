"""The API as a Swagger 2.0 document, generated from the same annotations that the gateway serves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor
from google.rpc.status_pb2 import Status as RpcStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from google.protobuf.descriptor import Descriptor

    from flyteform_controlplane.rest.routes import Route

Json = dict[str, Any]

_SCALARS: dict[int, Json] = {
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.TYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "format": "byte"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
}
_INT32 = {"type": "integer", "format": "int32"}
_INT64 = {"type": "string", "format": "int64"}  # as text, because JavaScript's numbers are too short
_WELL_KNOWN: dict[str, Json] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Any": {"type": "object", "properties": {"@type": {"type": "string"}}},
}
# A message that is not set is null, as grpc-gateway writes it.
_NULLABLE: Json = {"x-nullable": True}
_REFUSAL: Any = RpcStatus.DESCRIPTOR
_WRAPPER = re.compile(r"google\.protobuf\.\w+Value").fullmatch


def openapi(routes: Sequence[Route], *, title: str, version: str) -> Json:
    """Describe the routes; definitions are named by their messages' full names."""
    paths: Json = {}
    definitions: Json = {}
    for route in routes:
        operation = _operation(route, definitions)
        paths.setdefault(route.template, {})[route.verb.lower()] = operation
    return {
        "swagger": "2.0",
        "info": {"title": title, "version": version},
        "consumes": ["application/json", "application/octet-stream"],
        "produces": ["application/json", "application/octet-stream"],
        "paths": paths,
        "definitions": dict(sorted(definitions.items())),
    }


def _operation(route: Route, definitions: Json) -> Json:
    method = route.method.descriptor
    service = method.containing_service.name
    parameters = list(_parameters(route, definitions))
    answer = {"description": "OK", "schema": _message(method.output_type, definitions)}
    return {
        "operationId": f"{service}_{method.name}_{len(route.variables)}",
        "tags": [service],
        "parameters": parameters,
        "responses": {"200": answer, "default": _refusal(definitions)},
    }


def _refusal(definitions: Json) -> Json:
    """Describe every answer but 200: the gRPC status, its text, and the messages that clients parse."""
    return {"description": "A refusal", "schema": _message(_REFUSAL, definitions)}


def _parameters(route: Route, definitions: Json) -> Iterator[Json]:
    bound = {variable.name for variable in route.variables}
    for variable in route.variables:
        yield {"name": variable.name, "in": "path", "required": True, **_field(variable.field, definitions)}
    request = route.method.descriptor.input_type
    if route.body == "*":
        yield {"name": "body", "in": "body", "required": True, "schema": _message(request, definitions)}
        return
    for name, field in _leaves(request):
        if name not in bound:
            yield {"name": name, "in": "query", "required": False, **_field(field, definitions)}


def _leaves(
    message: Descriptor, prefix: str = "", above: tuple[str, ...] = ()
) -> Iterator[tuple[str, FieldDescriptor]]:
    for field in message.fields:
        kind = field.message_type
        if kind is None or kind.full_name in _WELL_KNOWN or _WRAPPER(kind.full_name):
            yield prefix + field.name, field
        elif not field.is_repeated and kind.full_name not in above:
            yield from _leaves(kind, f"{prefix}{field.name}.", (*above, message.full_name))


def _message(message: Descriptor, definitions: Json) -> Json:
    if message.full_name in _WELL_KNOWN:
        return {**_WELL_KNOWN[message.full_name], **_NULLABLE}
    if _WRAPPER(message.full_name):
        return {**_single(message.fields_by_name["value"], definitions), **_NULLABLE}
    if message.full_name not in definitions:
        definitions[message.full_name] = {}  # here already, because messages may contain themselves
        properties = {field.name: _field(field, definitions) for field in message.fields}
        definitions[message.full_name] = {"type": "object", "properties": properties, **_NULLABLE}
    return {"$ref": f"#/definitions/{message.full_name}"}


def _field(field: FieldDescriptor, definitions: Json) -> Json:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": _single(kind.fields_by_name["value"], definitions)}
    if field.is_repeated:
        return {"type": "array", "items": _single(field, definitions)}
    return _single(field, definitions)


def _single(field: FieldDescriptor, definitions: Json) -> Json:
    if field.message_type is not None:
        return _message(field.message_type, definitions)
    if field.enum_type is not None:
        return {"type": "string", "enum": [value.name for value in field.enum_type.values]}
    if field.type in _SCALARS:
        return _SCALARS[field.type]
    wide = field.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
    return _INT64 if wide else _INT32
