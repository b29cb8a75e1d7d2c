"""Which FlyteWorkflows are the operators' own: anybody with rights in a namespace may make others there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteform_dataplane.kubernetes.workflows.resources import KEY_ANNOTATION, key_in, place_of

KEY = "p/d/e"


def resource(key: object, namespace: str = "p-d", name: str = "e") -> dict[str, Any]:
    """Return the metadata of one."""
    return {"metadata": {"namespace": namespace, "name": name, "annotations": {KEY_ANNOTATION: key}}}


def test_one_of_ours_is_known_by_its_key() -> None:
    """Also where the name of the execution is none that Kubernetes takes."""
    assert key_in(resource(KEY)) == KEY
    namespace, name = place_of("p/d/Long_Name")
    assert key_in(resource("p/d/Long_Name", namespace, name)) == "p/d/Long_Name"


@pytest.mark.parametrize("key", ["", "p/d", "p/d/", "//", "p/d/e/f", "/d/e", "q/d/e", "p/d/other"])
def test_what_has_another_key_is_not_ours(key: str) -> None:
    """No key, half a key, or that of an execution whose resource is elsewhere: nobody aborts it by this one."""
    assert key_in(resource(key)) == ""
    assert key_in(resource(KEY, namespace="q-d")) == ""
    assert key_in({"metadata": {"namespace": "p-d", "name": "e"}}) == ""
    assert key_in({"metadata": {"namespace": "p-d", "name": "e", "annotations": None}}) == ""


@given(st.text())
def test_any_text_may_stand_there(key: str) -> None:
    """The answer is the key of this place, or nothing."""
    assert key_in(resource(key)) in ("", KEY)
