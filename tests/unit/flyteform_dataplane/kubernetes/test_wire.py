"""JSON to and from an API server is what it was by the standard library."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteform.errors import UnavailableError
from flyteform_dataplane.kubernetes.wire import decoded, encoded

# With halves of surrogate pairs, which the fast library refuses.
_TEXTS = st.text(st.characters())


def documents(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[object]:
    """Make documents with such whole numbers."""
    leaves = st.none() | st.booleans() | numbers | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3))


@given(documents(st.integers()))
def test_what_is_said(document: object) -> None:
    """Every document says the same to both libraries."""
    assert json.loads(encoded(document)) == document


@given(documents(st.integers(-(2**63), 2**64 - 1)), st.booleans())
def test_what_is_heard(document: object, escaped: bool) -> None:
    """Every text that the standard library writes is read as it would, whether it escapes or not."""
    assert decoded(json.dumps(document, ensure_ascii=escaped).encode(errors="surrogatepass")) == document


def test_numbers_that_no_field_may_have() -> None:
    """A number of more than 64 bits is as near as one with a fraction can be, and nothing else is lost by it."""
    assert decoded(b'{"a":1180591620717411303424,"b":NaN}')["a"] == 2**70
    assert decoded(b'{"a":1180591620717411303425}') == {"a": pytest.approx(2**70)}


@pytest.mark.parametrize("text", [b"", b"<html>", b'{"a":1', b"{} {}", b"\xff", b"[" * 100_000])
def test_what_is_no_json(text: bytes) -> None:
    """A proxy that answers by itself is one more reason to ask again, never a defect."""
    with pytest.raises(UnavailableError, match="is no JSON"):
        decoded(text)


def test_what_has_no_json() -> None:
    """What JSON does not have is a defect of the caller's."""
    with pytest.raises(TypeError):
        encoded({"a": {1, 2}})
