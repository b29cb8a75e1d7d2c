"""The normal form behind versions is protobuf's own JSON, so that no release of ours or of protobuf changes it."""

from __future__ import annotations

import base64
import hashlib
import json

from flyteidl.admin import launch_plan_pb2, task_pb2
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from flyteform.provision.digest import VERSION_LENGTH, version_of

TEXT = st.text(max_size=5)


def by_protobuf(spec: launch_plan_pb2.LaunchPlanSpec | task_pb2.TaskSpec) -> str:
    """Return the version as protobuf's JSON gives it, for a message without places and releases."""
    form = {
        "kind": spec.DESCRIPTOR.name,
        "spec": MessageToDict(spec, preserving_proto_field_name=True),
        "code": {},
    }
    text = json.dumps(form, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:VERSION_LENGTH]


@given(
    st.dictionaries(TEXT, TEXT, max_size=3),
    st.floats(),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=5),
    st.lists(st.sampled_from([4, 6, 7, 8]), max_size=3),
    st.booleans(),
)
def test_it_is_protobufs_json(
    labels: dict[str, str], number: float, integer: int, data: bytes, phases: list[int], flag: bool
) -> None:
    """Maps, floats, wide integers, bytes, enums, wrappers, durations and oneofs are written by protobuf's rules."""
    spec = launch_plan_pb2.LaunchPlanSpec(max_parallelism=integer % 2**31)
    spec.labels.values.update(labels)
    spec.interruptible.value = flag
    spec.fixed_inputs.literals["number"].scalar.primitive.float_value = number
    spec.fixed_inputs.literals["integer"].scalar.primitive.integer = integer
    spec.fixed_inputs.literals["data"].scalar.binary.value = data
    spec.fixed_inputs.literals["list"].collection.literals.add().scalar.primitive.boolean = flag
    spec.fixed_inputs.literals["when"].scalar.primitive.duration.seconds = integer % 1000
    spec.fixed_inputs.literals["json"].scalar.generic.update({"a": [1, labels]})
    spec.entity_metadata.notifications.add(phases=phases).email.recipients_email.append("a")
    assert version_of(spec) == by_protobuf(spec)


def test_places_and_releases_do_not_count() -> None:
    """A task in another project, written by another release of an SDK, is the same task."""
    spec = task_pb2.TaskSpec()
    spec.template.id.name = "a"
    plain = version_of(spec)
    assert plain == by_protobuf(spec)
    spec.template.id.project, spec.template.id.domain = "p", "d"
    spec.template.metadata.runtime.SetInParent()
    with_runtime = version_of(spec)
    spec.template.metadata.runtime.version = "1.2"
    assert version_of(spec) == with_runtime != plain
    spec.template.id.name = "b"
    assert version_of(spec) != with_runtime
