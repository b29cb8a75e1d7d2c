"""Types, values, bindings and schedules of FlyteIDL as short text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin import schedule_pb2
from flyteidl.core import condition_pb2, types_pb2
from google.protobuf import json_format
from google.protobuf.json_format import MessageToDict

from flyteform.provision.redaction import HIDDEN, is_secret_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteidl.core import literals_pb2
    from google.protobuf import struct_pb2

_SIMPLE = {
    types_pb2.NONE: "None",
    types_pb2.INTEGER: "int",
    types_pb2.FLOAT: "float",
    types_pb2.STRING: "str",
    types_pb2.BOOLEAN: "bool",
    types_pb2.DATETIME: "datetime",
    types_pb2.DURATION: "timedelta",
    types_pb2.BINARY: "bytes",
    types_pb2.STRUCT: "struct",
}
_COMPARISONS = {
    condition_pb2.ComparisonExpression.EQ: "==",
    condition_pb2.ComparisonExpression.NEQ: "!=",
    condition_pb2.ComparisonExpression.GT: ">",
    condition_pb2.ComparisonExpression.GTE: ">=",
    condition_pb2.ComparisonExpression.LT: "<",
    condition_pb2.ComparisonExpression.LTE: "<=",
}
_UNITS = {schedule_pb2.MINUTE: "minute", schedule_pb2.HOUR: "hour", schedule_pb2.DAY: "day"}


def type_text(literal_type: types_pb2.LiteralType) -> str:  # noqa: PLR0911 - one return per kind of type
    """Write a type as Python would."""
    match literal_type.WhichOneof("type"):
        case "simple":
            return _named(literal_type) or _SIMPLE.get(literal_type.simple, "unknown")
        case "collection_type":
            return f"list[{type_text(literal_type.collection_type)}]"
        case "map_value_type":
            return f"dict[str, {type_text(literal_type.map_value_type)}]"
        case "union_type":
            return " | ".join(type_text(each) for each in literal_type.union_type.variants)
        case "enum_type":
            return f"enum[{', '.join(literal_type.enum_type.values)}]"
        case "blob":
            many = literal_type.blob.dimensionality == types_pb2.BlobType.MULTIPART
            return "FlyteDirectory" if many else "FlyteFile"
        case "structured_dataset_type":
            return "StructuredDataset"
        case other:
            return other or "unknown"


def _named(literal_type: types_pb2.LiteralType) -> str | None:
    """Return the name of a structured type where its schema gives one."""
    if literal_type.simple != types_pb2.STRUCT or "title" not in literal_type.metadata:
        return None
    return str(literal_type.metadata["title"])


def literal_text(literal: literals_pb2.Literal) -> str:
    """Write a value."""
    match literal.WhichOneof("value"):
        case "scalar":
            return scalar_text(literal.scalar)
        case "collection":
            return f"[{_joined([literal_text(each) for each in literal.collection.literals])}]"
        case "map":
            return _mapping({key: literal_text(each) for key, each in literal.map.literals.items()})
        case _:
            return "(stored)"


def scalar_text(scalar: literals_pb2.Scalar) -> str:  # noqa: PLR0911 - one return per kind of value
    """Write a scalar; structured values as compact JSON, binary ones by their size."""
    match scalar.WhichOneof("value"):
        case "primitive":
            return _primitive_text(scalar.primitive)
        case "none_type":
            return "None"
        case "binary":
            return f"<{len(scalar.binary.value)} bytes>"
        case "generic":
            return _struct_text(scalar.generic)
        case "union":
            return literal_text(scalar.union.value)
        case "blob":
            return scalar.blob.uri
        case "structured_dataset":
            return scalar.structured_dataset.uri
        case other:
            return f"<{other}>"


def _primitive_text(primitive: literals_pb2.Primitive) -> str:
    match primitive.WhichOneof("value"):
        case "string_value":
            return repr(primitive.string_value)
        case "datetime":
            return primitive.datetime.ToJsonString()
        case "duration":
            return primitive.duration.ToJsonString()
        case None:
            return "None"
        case name:
            return str(getattr(primitive, name))


def binding_text(binding: literals_pb2.BindingData) -> str:
    """Write where an input comes from: a value, a workflow input, or the output of a node."""
    match binding.WhichOneof("value"):
        case "promise":
            return promise_text(binding.promise)
        case "scalar":
            return scalar_text(binding.scalar)
        case "collection":
            return f"[{_joined([binding_text(each) for each in binding.collection.bindings])}]"
        case "map":
            return _mapping({key: binding_text(each) for key, each in binding.map.bindings.items()})
        case _:
            return "(stored)"


def promise_text(promise: types_pb2.OutputReference) -> str:
    """Write the source of a promise; the start node stands for the workflow's own inputs."""
    path = "".join(
        f".{step.string_value}" if step.WhichOneof("value") == "string_value" else f"[{step.int_value}]"
        for step in promise.attr_path
    )
    source = "inputs" if promise.node_id in ("", "start-node") else promise.node_id
    return f"{source}.{promise.var}{path}"


def condition_text(expression: condition_pb2.BooleanExpression) -> str:
    """Write the condition of a branch."""
    match expression.WhichOneof("expr"):
        case "comparison":
            found = expression.comparison
            sign = _COMPARISONS.get(found.operator, "?")
            return f"{_operand_text(found.left_value)} {sign} {_operand_text(found.right_value)}"
        case "conjunction":
            word = "and" if expression.conjunction.operator == condition_pb2.ConjunctionExpression.AND else "or"
            sides = (expression.conjunction.left_expression, expression.conjunction.right_expression)
            return f" {word} ".join(
                f"({condition_text(side)})" if side.WhichOneof("expr") == "conjunction" else condition_text(side)
                for side in sides
            )
        case _:
            return "?"


def _operand_text(operand: condition_pb2.Operand) -> str:
    match operand.WhichOneof("val"):
        case "var":
            return f"inputs{operand.var}" if operand.var.startswith(".") else operand.var
        case "scalar":
            return scalar_text(operand.scalar)
        case _:
            return _primitive_text(operand.primitive)


def schedule_text(schedule: schedule_pb2.Schedule) -> str | None:
    """Write a schedule, None if there is none."""
    match schedule.WhichOneof("ScheduleExpression"):
        case "cron_expression":
            return f"cron {schedule.cron_expression}"
        case "cron_schedule":
            offset = schedule.cron_schedule.offset
            return f"cron {schedule.cron_schedule.schedule}" + (f" offset {offset}" if offset else "")
        case "rate":
            unit = _UNITS.get(schedule.rate.unit, "unit")
            return f"every {schedule.rate.value} {unit}s" if schedule.rate.value != 1 else f"every {unit}"
        case _:
            return None


def _joined(parts: Sequence[str], limit: int = 8) -> str:
    shown = ", ".join(parts[:limit])
    return shown if len(parts) <= limit else f"{shown}, … {len(parts)} in all"


def _mapping(parts: dict[str, str]) -> str:
    return f"{{{_joined([f'{key}: {HIDDEN if is_secret_name(key) else parts[key]}' for key in sorted(parts)])}}}"


def _struct_text(struct: struct_pb2.Struct) -> str:
    try:
        return str(_without_secrets(MessageToDict(struct)))
    except (json_format.Error, ValueError):  # an infinite number, which JSON does not have
        return "struct"


def _without_secrets(value: object) -> object:
    """Hide the values of a structured value whose names say that they are secret, at any depth."""
    match value:
        case dict():
            return {key: HIDDEN if is_secret_name(key) else _without_secrets(each) for key, each in value.items()}
        case list():
            return [_without_secrets(each) for each in value]
        case _:
            return value
