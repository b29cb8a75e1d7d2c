"""Literals become files: one for each input, and all of them in one of JSON, YAML or protobuf.

A list is a folder of files `0`, `1`, …, a map one of files by key, a blob a copy of what it names.
"""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any

import yaml
from flyteidl.core.literals_pb2 import Blob, Literal, LiteralMap, Primitive, Scalar, Schema, StructuredDataset
from flyteidl.core.tasks_pb2 import DataLoadingConfig
from flyteidl.core.types_pb2 import BlobType
from google.protobuf.json_format import MessageToDict, MessageToJson
from google.protobuf.message import DecodeError

from flyteform.errors import FlyteformError, InvalidInputError, NotFoundError
from flyteform_dataplane.copilot import transfer
from flyteform_dataplane.copilot.folders import entry
from flyteform_dataplane.plugins.arguments import literal_text

if TYPE_CHECKING:
    from pathlib import Path


def download(inputs: LiteralMap, folder: Path, file_format: int) -> None:
    """Write the inputs below a folder; `FlyteformError` for what cannot be fetched or written as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    values, local = {}, LiteralMap()
    for name, literal in sorted(inputs.literals.items()):
        try:
            values[name] = _write(literal, entry(folder, name), local.literals[name])
        except FlyteformError as error:
            raise type(error)(f"input {name!r}: {error.message}", remedy=error.remedy) from error
    (folder / "inputs.pb").write_bytes(local.SerializeToString(deterministic=True))
    if file_format == DataLoadingConfig.JSON:
        (folder / "inputs.json").write_text(json.dumps(values), encoding="utf-8")
    elif file_format == DataLoadingConfig.YAML:
        (folder / "inputs.yaml").write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")


def _write(literal: Literal, path: Path, local: Literal) -> Any:
    """Write one literal and return its plain value; `local` becomes the literal with its files' paths."""
    match literal.WhichOneof("value"):
        case "scalar":
            return _write_scalar(literal.scalar, path, local)
        case "collection":
            local.collection.SetInParent()
            path.mkdir(parents=True, exist_ok=True)
            items = enumerate(literal.collection.literals)
            return [_write(item, path / str(index), local.collection.literals.add()) for index, item in items]
        case "map":
            local.map.SetInParent()
            path.mkdir(parents=True, exist_ok=True)
            entries = literal.map.literals.items()
            return {key: _write(item, entry(path, key), local.map.literals[key]) for key, item in sorted(entries)}
        case "offloaded_metadata":
            return _write(_offloaded(literal.offloaded_metadata.uri), path, local)
        case _:
            raise InvalidInputError("an empty literal cannot be a file")


def _offloaded(uri: str) -> Literal:
    try:
        return Literal.FromString(transfer.read(uri))
    except DecodeError as error:
        raise InvalidInputError(f"{uri} is no literal") from error


def _write_scalar(scalar: Scalar, path: Path, local: Literal) -> Any:
    kind = scalar.WhichOneof("value")
    if kind == "union":
        return _write(scalar.union.value, path, local)
    if kind in ("blob", "schema", "structured_dataset"):
        local.scalar.CopyFrom(_fetch(scalar, path))
        return str(path)
    local.scalar.CopyFrom(scalar)
    value, content = _plain(scalar)
    path.write_bytes(content)
    return value


def _fetch(scalar: Scalar, path: Path) -> Scalar:
    """Copy what a scalar names, and return it naming the copy."""
    if scalar.HasField("blob"):
        kind = scalar.blob.metadata.type
        copy = transfer.fetch_folder if kind.dimensionality == BlobType.MULTIPART else transfer.fetch_file
        copy(scalar.blob.uri, path)
        return Scalar(blob=Blob(metadata=scalar.blob.metadata, uri=str(path)))
    if scalar.HasField("schema"):
        transfer.fetch_folder(scalar.schema.uri, path)
        return Scalar(schema=Schema(type=scalar.schema.type, uri=str(path)))
    try:  # a dataset is a folder of files or one file, which only the store knows
        transfer.fetch_file(scalar.structured_dataset.uri, path)
    except (NotFoundError, InvalidInputError):
        transfer.fetch_folder(scalar.structured_dataset.uri, path)
    dataset = StructuredDataset(metadata=scalar.structured_dataset.metadata, uri=str(path))
    return Scalar(structured_dataset=dataset)


def _plain(scalar: Scalar) -> tuple[Any, bytes]:
    """Return a scalar's value as JSON has it, and the content of its file."""
    match scalar.WhichOneof("value"):
        case "primitive":
            return _plain_primitive(scalar.primitive)
        case "binary":
            return base64.b64encode(scalar.binary.value).decode(), scalar.binary.value
        case "generic":
            return MessageToDict(scalar.generic), MessageToJson(scalar.generic, indent=None).encode()
        case "error":
            return scalar.error.message, scalar.error.message.encode()
        case _:
            return None, b"null"


def _plain_primitive(primitive: Primitive) -> tuple[Any, bytes]:
    match primitive.WhichOneof("value"):
        case "integer":
            return primitive.integer, str(primitive.integer).encode()
        case "float_value":
            number = primitive.float_value
            text = format(Decimal(repr(number)), "f") if isfinite(number) else str(number)
            return number, text.encode()
        case "string_value":
            return primitive.string_value, primitive.string_value.encode()
        case "boolean":
            return primitive.boolean, b"true" if primitive.boolean else b"false"
        case _:
            text = literal_text(Literal(scalar=Scalar(primitive=primitive)))
            return text, text.encode()
