"""Messages of any type that somebody careless or malicious might send, made from their descriptors."""

from __future__ import annotations

import os
import struct
from random import Random
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

# How many examples each method gets: few in the suite, as many as somebody has time for otherwise.
EXAMPLES = int(os.environ.get("FLYTEFORM_FUZZ_EXAMPLES", "3"))
MAX_DEPTH = 7

TEXTS = (
    "",
    " ",
    "x",
    "'; DROP TABLE executions; --",
    '" OR 1=1 --',
    "a\x00b",
    "../../etc/passwd",
    "..",
    "/",
    "%2e%2e%2f",
    "a" * 300,
    "b" * 20_000,
    "ä😀\u202e\ufeff",
    "line\nbreak\r\n",
    "{{.input}}",
    "-1",
    "9" * 40,
    "1e999",
    "NaN",
    "*",
    "file:///etc/passwd",
    "s3://bucket/key",
    "http://127.0.0.1:1/",
    "\x7f\x1b[31m",
)
# What a name has to be for a message to get past the first check.
PLAUSIBLE: dict[str, tuple[str, ...]] = {
    "project": ("flytesnacks",),
    "domain": ("development",),
    "name": ("t", "w", "lp", "e1"),
    "version": ("v1", "v2"),
    "node_id": ("n0", "start-node"),
    "id": ("flytesnacks", "e1", "n0", "t"),
    "token": ("0", "1", "-1", "9" * 30, "abc"),
    "key": ("created_at", "name", "updated_at", "execution_created_at", "x; --", "random()"),
    "filters": (
        "eq(project,flytesnacks)",
        "eq(name,w)",
        "value_in(phase,RUNNING;SUCCEEDED)",
        "gt(created_at,2020-01-01T00:00:00Z)",
        "contains(name,%)",
        "eq(phase,NOPE)",
        "eq(launch_plan.name,lp)",
        "eq(task.name,t)+ne(task.version,v)",
        "eq(state,99999999999999999999)",
        "eq(duration,abc)",
        "eq(created_at,0000)",
        "eq(name,'); DROP TABLE tasks; --)",
        "eq(nocolumn,1)",
        "eq(name,a\x00b)",
        "eq(((",
        "value_in(name,;;;)",
        "eq(execution_tag.key,a)",
        "eq(deleted_at,x)",
        "gte(version,)",
        "eq(id,1.5)",
    ),
    "cron_expression": ("* * * * *", "@hourly", "61 * * * *", "CRON_TZ=Nowhere/X * * * * *"),
    "schedule": ("@daily", "0 0 31 2 *"),
    "flyte_url": ("flyte://v1/flytesnacks/development/e1/n0/i", "flyte://v1/a/b/c/d/0/o/o0"),
    "filename": ("f", "../f"),
    "native_url": ("file:///etc/passwd", "s3://b/k"),
    "request_id": ("r",),
    "retry_attempt": (),
}
NUMBERS = (0, 1, 2, 3, 7, 100, -1, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63), 2**64 - 1)
REALS = (0.0, -1.5, 1e308, float("inf"), float("nan"))
_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}

# One draw for each message, rather than one for each of its fields: it has hundreds of those.
_GENERATORS = st.integers(0, 2**32).map(Random)


def messages(message: Descriptor) -> st.SearchStrategy[Message]:
    """Make messages of the type: any fields at all, with hostile and with plausible values, nested deeply."""
    return _GENERATORS.map(lambda random: build(message, random))


def build(message: Descriptor, random: Random, depth: int = 0) -> Message:
    """Fill a message at random."""
    built: Message = GetMessageClass(message)()
    _fill(built, random, depth)
    return built


def spoil(valid: Message, random: Random) -> Message:
    """Change one or two fields somewhere in a copy of a valid message, so that it gets far before it is refused."""
    spoiled: Message = type(valid)()
    spoiled.CopyFrom(valid)
    for _ in range(random.randint(1, 2)):
        target = spoiled
        while random.random() < 0.8:
            below = [value for _, value in target.ListFields() if hasattr(value, "ListFields")]
            below += [
                v[0]
                for f, v in target.ListFields()
                if f.is_repeated and len(v) and hasattr(_first(v), "ListFields") and not _is_map(f)
            ]
            if not below:
                break
            target = random.choice(below)
        if target.DESCRIPTOR.fields:
            field = random.choice(target.DESCRIPTOR.fields)
            target.ClearField(field.name)
            if random.random() < 0.8:
                _set(target, field, random, MAX_DEPTH - 3)
    return spoiled


def _first(values: Any) -> Any:
    return next(iter(values))


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _fill(message: Message, random: Random, depth: int) -> None:
    chance = 0.75 if depth < 3 else 0.3
    for field in message.DESCRIPTOR.fields:
        if random.random() < chance and (field.message_type is None or depth < MAX_DEPTH):
            _set(message, field, random, depth)


def _set(message: Message, field: FieldDescriptor, random: Random, depth: int) -> None:
    if _is_map(field):
        _set_map(getattr(message, field.name), field.message_type, random, depth)
    elif field.is_repeated:
        for _ in range(random.choice((0, 1, 1, 2))):
            values = getattr(message, field.name)
            if field.message_type is not None:
                values.add().CopyFrom(build(field.message_type, random, depth + 1))
            else:
                values.append(_scalar(field, random))
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(build(field.message_type, random, depth + 1))
    else:
        setattr(message, field.name, _scalar(field, random))


def _set_map(values: Any, entry: Descriptor, random: Random, depth: int) -> None:
    key = _scalar(entry.fields_by_name["key"], random)
    value = entry.fields_by_name["value"]
    if value.message_type is None:
        values[key] = _scalar(value, random)
    else:
        values[key].CopyFrom(build(value.message_type, random, depth + 1))


def _scalar(field: FieldDescriptor, random: Random) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_BOOL:
            return random.random() < 0.5
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return random.choice(REALS)
        case FieldDescriptor.CPPTYPE_FLOAT:
            return struct.unpack("f", struct.pack("f", random.choice((0.0, -1.5, float("inf")))))[0]
        case FieldDescriptor.CPPTYPE_STRING:
            return _bytes(random) if field.type == FieldDescriptor.TYPE_BYTES else _text(field.name, random)
        case _:
            return _number(field, random)


def _bytes(random: Random) -> bytes:
    return bytes(random.choice((b"", b"\x00", b"\xff" * 16, b"m" * 16, b"x" * 5000)))


def _text(name: str, random: Random) -> str:
    plausible = PLAUSIBLE.get(name)
    return str(random.choice(plausible if plausible and random.random() < 0.7 else TEXTS))


def _number(field: FieldDescriptor, random: Random) -> int:
    low, high = _RANGES[field.cpp_type]
    if field.enum_type is not None and random.random() < 0.8:
        return int(random.choice(field.enum_type.values).number)
    usual: tuple[int, ...] = (1, 100) if field.name == "limit" and random.random() < 0.7 else NUMBERS
    return int(random.choice([number for number in usual if low <= number <= high]))


def spoiled(valid: Callable[[], Message]) -> st.SearchStrategy[Message]:
    """Make damaged copies of a valid message."""
    return _GENERATORS.map(lambda random: spoil(valid(), random))
