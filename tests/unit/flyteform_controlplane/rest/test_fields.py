"""Texts into fields: every kind of field that a URL can set, and what it cannot."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.admin.common_pb2 import ResourceListRequest, Sort
from flyteidl.admin.execution_pb2 import ExecutionSpec, LiteralMapBlob
from flyteidl.admin.project_pb2 import ProjectListRequest
from flyteidl.admin.version_pb2 import GetVersionRequest
from flyteidl.core.literals_pb2 import Literal, Primitive, Scalar
from flyteidl.service.dataproxy_pb2 import CreateDownloadLocationRequest, CreateUploadLocationRequest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from flyteform_controlplane.errors import InvalidArgumentError
from flyteform_controlplane.rest.fields import setter

if TYPE_CHECKING:
    from google.protobuf.message import Message


def applied(message: Message, path: str, *texts: str) -> Any:
    """Set a field of the message and return the message."""
    found = setter(message.DESCRIPTOR, path)
    assert found is not None
    found.apply(message, texts)
    return message


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_whole_numbers(number: int) -> None:
    """Every number of the field's range is read back as itself."""
    assert applied(Primitive(), "integer", str(number)).integer == number


@given(st.binary(max_size=40))
def test_bytes_in_either_alphabet(data: bytes) -> None:
    """Base64 is read with the standard and the URL's alphabet, with and without padding."""
    for text in (base64.b64encode(data), base64.urlsafe_b64encode(data), base64.urlsafe_b64encode(data).rstrip(b"=")):
        assert applied(CreateUploadLocationRequest(), "content_md5", text.decode()).content_md5 == data


@given(st.text(st.characters(codec="utf-8")))
def test_texts(text: str) -> None:
    """A text is taken as it is."""
    assert applied(ResourceListRequest(), "id.name", text).id.name == text


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("T", True), ("false", False), ("0", False)])
def test_truth(text: str, value: bool) -> None:
    """Truth has the spellings that Go reads, in a wrapper message too."""
    assert applied(Primitive(), "boolean", text).boolean is value
    assert applied(ExecutionSpec(), "interruptible", text).interruptible.value is value


def test_times() -> None:
    """Times and durations have JSON's forms."""
    moment = applied(Primitive(), "datetime", "2024-01-02T03:04:05Z").datetime.ToDatetime(tzinfo=UTC)
    assert moment == datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert applied(CreateDownloadLocationRequest(), "expires_in", "90s").expires_in.seconds == 90


def test_deep_paths() -> None:
    """A path reaches as deep as the messages go; an enum and a float at its end."""
    assert applied(Literal(), "scalar.primitive.float_value", "1.5").scalar.primitive.float_value == 1.5
    assert applied(ResourceListRequest(), "sortBy.direction", "0").sort_by.direction == Sort.DESCENDING


def test_repeated_fields_take_all_texts() -> None:
    """A repeated field takes every text, another one the last."""
    assert list(applied(ExecutionSpec(), "tags", "a", "b").tags) == ["a", "b"]
    assert applied(ProjectListRequest(), "limit", "1", "2").limit == 2


@pytest.mark.parametrize(
    ("message", "path", "text"),
    [
        (Primitive(), "integer", "ten"),
        (Primitive(), "integer", "٣"),
        (Primitive(), "integer", str(2**63)),
        (Primitive(), "boolean", "yes"),
        (Primitive(), "float_value", "x"),
        (Primitive(), "datetime", "yesterday"),
        (Primitive(), "duration", "1h"),
        (CreateUploadLocationRequest(), "content_md5", "*"),
        (ResourceListRequest(), "sort_by.direction", "UP"),
        (ExecutionSpec(), "interruptible", "maybe"),
    ],
)
def test_wrong_texts_are_refused(message: Message, path: str, text: str) -> None:
    """A text that the field cannot hold is refused with the field's name."""
    with pytest.raises(InvalidArgumentError, match=f"invalid value for {path}"):
        applied(message, path, text)


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (GetVersionRequest(), "nothing"),
        (ResourceListRequest(), "id"),
        (ResourceListRequest(), "id.nothing"),
        (ResourceListRequest(), "limit.more"),
        (ResourceListRequest(), ""),
        (ResourceListRequest(), "id..name"),
        (LiteralMapBlob(), "values.literals"),
        (Scalar(), "generic"),
        (Struct(), "fields"),
    ],
)
def test_what_no_text_can_set(message: Message, path: str) -> None:
    """Messages, maps and names that are no field cannot be set from a URL."""
    assert setter(message.DESCRIPTOR, path) is None
