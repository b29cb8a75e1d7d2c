"""The execution that a schedule creates: a pure function of the schedule and the scheduled time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flyteidl.admin.execution_pb2 import ExecutionCreateRequest, ExecutionMetadata, ExecutionSpec
from flyteidl.core.identifier_pb2 import LAUNCH_PLAN, Identifier
from flyteidl.core.literals_pb2 import Literal, LiteralMap, Primitive, Scalar

from flyteform_controlplane.domain.times import to_timestamp

if TYPE_CHECKING:
    from datetime import datetime

    from flyteform_controlplane.domain.ports import EntityKey
    from flyteform_controlplane.domain.schedules import ScheduledPlan

_FNV_OFFSET: Final = 0xCBF29CE484222325
_FNV_PRIME: Final = 0x100000001B3


def execution_name(launch_plan: EntityKey, at: datetime) -> str:
    """Return the name that Flyte's scheduler would give: a repeated firing is the same execution.

    `f` and the first 19 hexadecimal digits of a UUID made of the FNV-1 hash (64 bits, little-endian) of the launch
    plan and the Unix time.
    """
    key = launch_plan
    value = _FNV_OFFSET
    for byte in f"{key.project}:{key.domain}:{key.name}:{key.version}:{int(at.timestamp())}".encode():
        value = ((value * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF) ^ byte
    return "f" + value.to_bytes(16, "little").hex()[:19]


def create_request(plan: ScheduledPlan, at: datetime) -> ExecutionCreateRequest:
    """Return the request for the execution of the plan that was scheduled at that time."""
    key = plan.launch_plan
    inputs = LiteralMap()
    if plan.kickoff_time_input_arg:
        kickoff = Literal(scalar=Scalar(primitive=Primitive(datetime=to_timestamp(at))))
        inputs.literals[plan.kickoff_time_input_arg].CopyFrom(kickoff)
    return ExecutionCreateRequest(
        project=key.project,
        domain=key.domain,
        name=execution_name(key, at),
        inputs=inputs,
        spec=ExecutionSpec(
            launch_plan=Identifier(
                resource_type=LAUNCH_PLAN, project=key.project, domain=key.domain, name=key.name, version=key.version
            ),
            metadata=ExecutionMetadata(mode=ExecutionMetadata.SCHEDULED, scheduled_at=to_timestamp(at)),
        ),
    )
