"""Names that Kubernetes takes."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from flyteform_dataplane.kubernetes.names import label_text, label_value, pod_name

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")


def test_a_plain_name_is_readable() -> None:
    """What people search for is in the name."""
    assert pod_name("f1a2/n0/0/1") == "f1a2-n0-0-1"


@given(st.text(min_size=1, max_size=200))
def test_every_attempt_has_a_name_that_kubernetes_takes(attempt: str) -> None:
    """Whatever an attempt is called, its pod's name is a DNS label."""
    assert _NAME.fullmatch(pod_name(attempt))


@given(st.text(min_size=1, max_size=90), st.text(min_size=1, max_size=90))
def test_two_attempts_never_share_a_pod(one: str, other: str) -> None:
    """Different attempts have different pods, also where only characters differ that a name cannot have."""
    assert (pod_name(one) == pod_name(other)) == (one.replace("/", "-") == other.replace("/", "-"))


def test_upper_and_lower_case_are_told_apart() -> None:
    """Names are lower case, and nodes need not be."""
    assert pod_name("f1/N0/0") != pod_name("f1/n0/0")


@given(st.text(max_size=200))
def test_every_label_of_flytes_form_is_one(name: str) -> None:
    """It has nothing but lower case letters, digits and hyphens."""
    assert re.fullmatch(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?", label_text(name))


@given(st.text(max_size=200))
def test_every_label_has_a_value_that_kubernetes_takes(value: str) -> None:
    """Whatever a workflow is called, it can be a label."""
    assert _LABEL.fullmatch(label_value(value))
