"""Where connectors are, as the command line says it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flyteform.errors import InvalidInputError
from flyteform_dataplane.connectors.endpoints import Endpoint, parse_endpoint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:8000", Endpoint("localhost:8000")),
        ("grpc://h:1", Endpoint("h:1")),
        ("grpcs://h.example.com:443?timeout=30", Endpoint("h.example.com:443", tls=True, timeout=30.0)),
        ("[::1]:8000", Endpoint("[::1]:8000")),
        ("spark, sql=h:1", Endpoint("h:1", task_types=frozenset({"spark", "sql"}))),
        ("sql=grpcs://h:1?sync-timeout=5&poll=0.5&patience=2",
         Endpoint("h:1", tls=True, task_types=frozenset({"sql"}), sync_timeout=5.0, poll=0.5, patience=2.0)),
    ],
)  # fmt: skip
def test_every_form(text: str, expected: Endpoint) -> None:
    """Task types, encryption and times are optional."""
    assert parse_endpoint(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "host", "host:", "host:port", ":80", "http://h:1", "=h:1", "h:1/path", "u@h:1", "h:1?poll=0", "h:1?poll=x",
     "h:1?colour=3", "h:1?timeout=inf", "h:99999"],
)  # fmt: skip
def test_what_is_none_is_refused(text: str) -> None:
    """The message has what was given and says what would be right."""
    with pytest.raises(InvalidInputError, match="--connector") as refusal:
        parse_endpoint(text)
    assert refusal.value.remedy


@given(st.text())
@example("grpc://[::1")
def test_any_text_is_understood_or_refused(text: str) -> None:
    """No other error comes out."""
    with contextlib.suppress(InvalidInputError):
        parse_endpoint(text)
