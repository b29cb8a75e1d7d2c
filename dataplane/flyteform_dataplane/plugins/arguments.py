"""The placeholders in a container's command and arguments (`{{.input}}`, `{{$inputs.x}}`, in any case)."""

from __future__ import annotations

import base64
import re
from datetime import timedelta
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToJson

from flyteform_dataplane.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flyteidl.core.literals_pb2 import Literal, Primitive, Scalar

    from flyteform_dataplane.plugins.ports import TaskContext

_PLACEHOLDER = re.compile(r"\{\{\s*[.$](?P<name>[A-Za-z_][^}\s]*)\s*\}\}")
_INPUT = "inputs."
# What Flyte puts for "no checkpoint": two quotes, which its entry points know.
_NO_CHECKPOINT = '""'

_VALUES: dict[str, Callable[[TaskContext], str]] = {
    "input": lambda context: context.inputs_uri,
    "inputprefix": lambda context: context.inputs_uri.rpartition("/")[0],
    "outputprefix": lambda context: context.output_prefix,
    "rawoutputdataprefix": lambda context: context.raw_output_prefix,
    "perretryuniquekey": lambda context: _identifier(context.name.split("/", 2)[-1]),
    "tasktemplatepath": lambda context: context.task_template_uri,
    "prevcheckpointprefix": lambda context: context.previous_checkpoint or _NO_CHECKPOINT,
    "checkpointoutputprefix": lambda context: context.checkpoint_prefix,
    "namespace": lambda context: f"{context.execution.project}-{context.execution.domain}",
}


def expand(
    texts: Iterable[str], context: TaskContext, quote: Callable[[str], str] = lambda text: text
) -> tuple[str, ...]:
    """Fill in every placeholder that Flyte knows, leave others alone; `UserError` for an input that is not there.

    `quote` is for whoever starts the command and would find words of its own in what is filled in.
    """
    return tuple(
        _PLACEHOLDER.sub(lambda match: quote(_value(match, context)), text) if "{{" in text else text for text in texts
    )


def wants_task_template(texts: Iterable[str]) -> bool:
    """Whether the file of the task template has to be written for these texts."""
    return any(
        match["name"].lower() == "tasktemplatepath"
        for text in texts
        if "{{" in text
        for match in _PLACEHOLDER.finditer(text)
    )


def _identifier(attempt: str) -> str:
    """Return an attempt's name as databases take names of tables, in Flyte's form: `f1_n0_0`."""
    return re.sub(r"[^a-zA-Z0-9_]+", "_", re.sub(r"^[^a-zA-Z_]+", "a", attempt))


def _value(match: re.Match[str], context: TaskContext) -> str:
    name = match["name"]
    if name.lower().startswith(_INPUT):
        variable = name[len(_INPUT) :]
        if variable not in context.inputs.literals:
            raise UserError(f"the command of task {context.task.id.name} names an input {variable!r} that it has not")
        return literal_text(context.inputs.literals[variable])
    value = _VALUES.get(name.lower())
    return match[0] if value is None else value(context)


def literal_text(literal: Literal) -> str:
    """Write a literal as Flyte does on a command line; `UserError` for what has no text form."""
    match literal.WhichOneof("value"):
        case "collection":
            return f"[{','.join(literal_text(item) for item in literal.collection.literals)}]"
        case "scalar":
            return _scalar_text(literal.scalar)
        case kind:
            raise UserError(f"a {kind or 'empty'} value cannot be written on a command line")


def _scalar_text(scalar: Scalar) -> str:
    texts: dict[str, Callable[[], str]] = {
        "primitive": lambda: _primitive_text(scalar.primitive),
        "blob": lambda: scalar.blob.uri,
        "schema": lambda: scalar.schema.uri,
        "structured_dataset": lambda: scalar.structured_dataset.uri,
        "binary": lambda: base64.b64encode(scalar.binary.value).decode("ascii"),
        "generic": lambda: MessageToJson(scalar.generic, indent=None),
        "union": lambda: literal_text(scalar.union.value),
        "none_type": lambda: "",
        "error": lambda: scalar.error.message,
    }
    text = texts.get(scalar.WhichOneof("value") or "")
    if text is None:
        raise UserError("an empty value cannot be written on a command line")
    return text()


def _primitive_text(primitive: Primitive) -> str:
    match primitive.WhichOneof("value"):
        case "integer":
            return str(primitive.integer)
        case "float_value":
            return _float_text(primitive.float_value)
        case "string_value":
            return primitive.string_value
        case "boolean":
            return "true" if primitive.boolean else "false"
        case "datetime":
            text: str = primitive.datetime.ToJsonString()
            return text
        case _:
            return _duration_text(primitive.duration.ToTimedelta())


def _float_text(number: float) -> str:
    """Write a float in short, but so that it is read again as the same: 2, 0.1, 1e+21, 1000001."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number).removesuffix(".0")


def _duration_text(duration: timedelta) -> str:
    """Write a duration as Go does: 1h2m3.5s."""
    sign = "-" if duration < timedelta(0) else ""
    seconds = abs(duration).total_seconds()
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    text = f"{rest:.9f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{sign}{hours:.0f}h{minutes:.0f}m{text}"
    return f"{sign}{minutes:.0f}m{text}" if minutes else sign + text
