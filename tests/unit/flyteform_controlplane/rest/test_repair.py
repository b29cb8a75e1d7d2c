"""What protobuf carries and JSON cannot show: the nearest that it can, and the rest of the answer unchanged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin.execution_pb2 import Execution, ExecutionList
from flyteidl.admin.task_execution_pb2 import TaskExecution
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from flyteform_controlplane.rest.codecs import JsonCodec

if TYPE_CHECKING:
    from google.protobuf.message import Message

WIDE = st.integers(-(2**63), 2**63 - 1)
NARROW = st.integers(-(2**31), 2**31 - 1)


def shown(message: Message) -> object:
    """Return what a client reads as JSON."""
    return json.loads(JsonCodec().encode(message))


def test_one_row_out_of_all_calendars_spoils_no_list() -> None:
    """The list is shown, the odd time as the last that there is, and all else as it was."""
    executions = ExecutionList(executions=[Execution(), Execution()], token="2")  # noqa: S106 - of the next page
    executions.executions[0].spec.metadata.scheduled_at.seconds = 2**63 - 1
    executions.executions[1].id.name = "good"
    found = shown(executions)
    assert isinstance(found, dict)
    odd, good = found["executions"]
    assert odd["spec"]["metadata"]["scheduled_at"] == "9999-12-31T23:59:59Z"
    assert (good["id"]["name"], found["token"]) == ("good", "2")
    assert executions.executions[0].spec.metadata.scheduled_at.seconds == 2**63 - 1


@given(seconds=WIDE, nanos=NARROW)
def test_any_time_and_duration_is_shown(seconds: int, nanos: int) -> None:
    """Whatever was stored has a form, in messages inside others too."""
    execution = Execution()
    execution.closure.created_at.CopyFrom(Timestamp(seconds=seconds, nanos=nanos))
    execution.closure.duration.CopyFrom(Duration(seconds=seconds, nanos=nanos))
    execution.spec.quality_of_service.spec.queueing_budget.CopyFrom(Duration(seconds=seconds, nanos=nanos))
    found = shown(execution)
    assert isinstance(found, dict)
    assert found["closure"]["created_at"].endswith("Z")
    assert found["closure"]["duration"].endswith("s")


@pytest.mark.parametrize(("number", "expected"), [(float("nan"), "nan"), (float("-inf"), "-inf"), (1.5, 1.5)])
def test_numbers_that_json_has_not_are_text(number: float, expected: object) -> None:
    """A plugin's own information may hold any number."""
    attempt = TaskExecution()
    attempt.closure.custom_info.fields["loss"].number_value = number
    found = shown(attempt)
    assert isinstance(found, dict)
    assert found["closure"]["custom_info"] == {"loss": expected}
