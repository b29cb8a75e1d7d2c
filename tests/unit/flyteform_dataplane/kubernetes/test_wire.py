"""JSON to and from an API server is what it was by the standard library."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteform.errors import UnavailableError
from flyteform_dataplane.kubernetes.wire import Change, Described, Reader, decoded, encoded

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


@given(documents(st.integers()), st.booleans())
def test_what_is_heard(document: object, escaped: bool) -> None:
    """Every text that the standard library writes is read as it would, whether it escapes or not."""
    assert decoded(json.dumps(document, ensure_ascii=escaped).encode(errors="surrogatepass")) == document


OBJECT = {"metadata": {"name": "a", "labels": {"b": "c"}, "managedFields": [{"manager": "m"}]}, "spec": {"d": 1}}


def test_a_form_is_what_is_read() -> None:
    """What a form does not name is left out; a document of another form is read whole, as without one."""
    read = Reader(Change[Described])
    assert read(encoded({"type": "ADDED", "object": OBJECT, "more": 1})) == {
        "type": "ADDED",
        "object": {"metadata": {"name": "a", "labels": {"b": "c"}}},
    }
    for other in (
        {"type": "ADDED", "object": {**OBJECT, "metadata": {"name": 1}}},
        {"type": "ADDED", "object": {"metadata": {"labels": {"b": "\ud800"}}, "spec": 1}},
        {"object": OBJECT},
        [OBJECT],
    ):
        assert read(encoded(other)) == other
    with pytest.raises(UnavailableError):
        read(b'{"type": "ADDED", "obj')


@pytest.mark.parametrize("text", [b"", b"<html>", b'{"a":1', b"{} {}", b"\xff", b"[" * 100_000])
def test_what_is_no_json(text: bytes) -> None:
    """A proxy that answers by itself is one more reason to ask again, never a defect."""
    with pytest.raises(UnavailableError, match="is no JSON"):
        decoded(text)


def test_what_has_no_json() -> None:
    """What JSON does not have is a defect of the caller's."""
    with pytest.raises(TypeError):
        encoded({"a": object()})
