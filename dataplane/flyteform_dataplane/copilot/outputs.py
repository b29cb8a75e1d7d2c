"""Files become literals: one for each output, read as its type says; files and folders of blobs are stored."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flyteidl.core.literals_pb2 import Binary, Blob, BlobMetadata, Literal, LiteralMap, Primitive, Scalar, Union, Void
from flyteidl.core.types_pb2 import BlobType, Error, LiteralType, SimpleType
from google.protobuf.json_format import Parse, ParseError
from google.protobuf.struct_pb2 import Struct

from flyteform.errors import InvalidInputError
from flyteform_dataplane.copilot import transfer
from flyteform_dataplane.copilot.folders import own, written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flyteidl.core.interface_pb2 import VariableMap

ERROR_FILE = "_ERROR"
_VALUE_BYTES = 1 << 20  # what is larger is no value but a file
_DURATION_LENGTH = 100  # characters
_GO_DURATION = re.compile(r"(?P<sign>[+-]?)(?P<parts>(?:[0-9]+\.?[0-9]*(?:h|ms|us|µs|ns|m|s))+)")
_GO_PART = re.compile(r"([0-9]+\.?[0-9]*)(h|ms|us|µs|ns|m|s)")
_GO_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_CLOCK_DURATION = re.compile(
    r"(?:(?P<days>-?[0-9]+) days?, )?(?P<hours>[0-9]+):(?P<minutes>[0-9]{2}):(?P<seconds>[0-9.]+)"
)
_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")


def upload(variables: VariableMap, folder: Path, raw_output_prefix: str) -> LiteralMap:
    """Return the outputs that lie in a folder; `InvalidInputError` names the one that is missing or wrong."""
    outputs = LiteralMap()
    for name, variable in sorted(variables.variables.items()):
        try:
            literal = _read(written(folder, name), variable.type, f"{raw_output_prefix}/{name}")
        except InvalidInputError as error:
            raise InvalidInputError(f"output {name!r}: {error.message}", remedy=error.remedy) from error
        outputs.literals[name].CopyFrom(literal)
    return outputs


def error_of(folder: Path) -> str | None:
    """Return what the command has written of its own failure."""
    path = folder / ERROR_FILE
    own(path, folder)
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(_VALUE_BYTES).decode(errors="replace")


def _read(path: Path, kind: LiteralType, uri: str) -> Literal:
    match kind.WhichOneof("type"):
        case "simple":
            return Literal(scalar=parse_simple(_content(path), kind.simple))
        case "enum_type":
            return Literal(scalar=_string(_chosen(_content(path).decode(errors="replace"), kind)))
        case "blob":
            return Literal(scalar=Scalar(blob=_store(path, kind.blob, uri)))
        case "union_type":
            return _read_union(path, kind, uri)
        case other:
            raise InvalidInputError(
                f"a {other} cannot be made from a file", remedy="give back numbers, text, times, files and folders"
            )


def _read_union(path: Path, kind: LiteralType, uri: str) -> Literal:
    """Return the value as the first variant that fits; a file that is not there is none, where that is allowed."""
    none = next((one for one in kind.union_type.variants if one.simple == SimpleType.NONE), None)
    if none is not None and not path.exists():
        return Literal(scalar=Scalar(union=Union(value=Literal(scalar=Scalar(none_type=Void())), type=none)))
    said = "it has no type"
    for variant in kind.union_type.variants:
        if variant is not none:
            try:
                value = _read(path, variant, uri)
            except InvalidInputError as error:
                said = error.message
                continue
            return Literal(scalar=Scalar(union=Union(value=value, type=variant)))
    raise InvalidInputError(said)


def _store(path: Path, kind: BlobType, uri: str) -> Blob:
    if path.is_dir():
        dimensionality = BlobType.MULTIPART
        transfer.store_folder(path, uri)
    elif path.is_file():
        dimensionality = BlobType.SINGLE
        transfer.store_file(path, uri)
    else:
        raise _missing(path)
    if dimensionality != kind.dimensionality:
        expected = BlobType.BlobDimensionality.Name(kind.dimensionality).lower()
        raise InvalidInputError(f"it is a {'folder' if path.is_dir() else 'file'}, but {expected} is declared")
    return Blob(metadata=BlobMetadata(type=BlobType(format=kind.format, dimensionality=dimensionality)), uri=uri)


def _content(path: Path) -> bytes:
    if path.is_dir():
        raise InvalidInputError(f"{path.name} is a folder, not a file with a value")
    if not path.is_file():
        raise _missing(path)
    if path.stat().st_size > _VALUE_BYTES:
        raise InvalidInputError(f"its file has more than {_VALUE_BYTES} bytes", remedy="declare it as a file")
    return path.read_bytes()


def _missing(path: Path) -> InvalidInputError:
    return InvalidInputError(f"the command has not written the file {path.name}")


def _chosen(text: str, kind: LiteralType) -> str:
    value = text.strip()
    if value not in kind.enum_type.values:
        raise InvalidInputError(f"{value!r} is none of {', '.join(kind.enum_type.values)}")
    return value


def parse_simple(content: bytes, kind: SimpleType) -> Scalar:
    """Return the scalar that a file holds; white space around it counts only in text and bytes."""
    if kind == SimpleType.BINARY:
        return Scalar(binary=Binary(value=content))
    text = content.decode(errors="replace")
    if kind == SimpleType.STRING:
        return _string(text)
    parser = _PARSERS.get(kind)
    if parser is None:
        raise InvalidInputError(f"a {SimpleType.Name(kind)} cannot be made from a file")
    try:
        return parser(text.strip())
    except (ValueError, OverflowError, RecursionError, ParseError) as error:
        raise InvalidInputError(f"{text.strip()[:100]!r} is no {SimpleType.Name(kind).lower()}") from error


def _string(text: str) -> Scalar:
    return Scalar(primitive=Primitive(string_value=text))


def _boolean(text: str) -> Scalar:
    if text.lower() not in (*_TRUE, *_FALSE):
        raise ValueError(text)
    return Scalar(primitive=Primitive(boolean=text.lower() in _TRUE))


def _datetime(text: str) -> Scalar:
    moment = datetime.fromisoformat(text)
    scalar = Scalar()
    scalar.primitive.datetime.FromDatetime((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC))
    return scalar


def _duration(text: str) -> Scalar:
    scalar = Scalar()
    scalar.primitive.duration.FromTimedelta(parse_duration(text))
    return scalar


def parse_duration(text: str) -> timedelta:
    """Read a duration as Go writes it (1h2m3.5s) or as Python does (1 day, 2:03:04.5); ValueError for others."""
    if text == "0":
        return timedelta()
    if len(text) > _DURATION_LENGTH:
        raise ValueError(text[:_DURATION_LENGTH])
    if go := _GO_DURATION.fullmatch(text):
        seconds = sum(float(number) * _GO_UNITS[unit] for number, unit in _GO_PART.findall(go["parts"]))
        return timedelta(seconds=-seconds if go["sign"] == "-" else seconds)
    if clock := _CLOCK_DURATION.fullmatch(text):
        hours, minutes, seconds = int(clock["hours"]), int(clock["minutes"]), float(clock["seconds"])
        return timedelta(days=int(clock["days"] or 0), hours=hours, minutes=minutes, seconds=seconds)
    raise ValueError(text)


_PARSERS: dict[SimpleType, Callable[[str], Scalar]] = {
    SimpleType.INTEGER: lambda text: Scalar(primitive=Primitive(integer=int(text))),
    SimpleType.FLOAT: lambda text: Scalar(primitive=Primitive(float_value=float(text))),
    SimpleType.BOOLEAN: _boolean,
    SimpleType.DATETIME: _datetime,
    SimpleType.DURATION: _duration,
    SimpleType.STRUCT: lambda text: Scalar(generic=Parse(text, Struct())),
    SimpleType.ERROR: lambda text: Scalar(error=Error(message=text)),
    SimpleType.NONE: lambda _: Scalar(none_type=Void()),
}
