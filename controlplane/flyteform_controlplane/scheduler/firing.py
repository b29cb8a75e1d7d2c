"""The execution that a schedule creates: a pure function of the schedule and the scheduled time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from flyteidl.admin.execution_pb2 import ExecutionCreateRequest, ExecutionMetadata, ExecutionSpec
from flyteidl.core.identifier_pb2 import LAUNCH_PLAN, Identifier
from flyteidl.core.literals_pb2 import Literal, LiteralMap, Primitive, Scalar

from flyteform.schedules import Every, Schedule, parse_schedule
from flyteform_controlplane.domain.times import to_timestamp

if TYPE_CHECKING:
    from datetime import datetime

    from flyteform_controlplane.domain.ports import EntityKey

_FNV_OFFSET: Final = 0xCBF29CE484222325
_FNV_PRIME: Final = 0x100000001B3
# In the order of Flyte's FixedRateUnit.
_UNITS: Final = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))


@dataclass(frozen=True, slots=True)
class ScheduledPlan:
    """A launch plan version's schedule: cron text, or a rate if that is empty; `unit` is FixedRateUnit."""

    id: int
    launch_plan: EntityKey
    cron_expression: str
    cron_offset: str
    fixed_rate_value: int
    unit: int
    kickoff_time_input_arg: str
    activated_at: datetime
    last_fired_at: datetime | None

    @property
    def since(self) -> datetime:
        """The time that the next firing is later than."""
        return max(self.activated_at, self.last_fired_at or self.activated_at)

    def schedule(self) -> Schedule:
        """Return when it fires; `InvalidInputError` if this version of the program cannot read it."""
        if self.cron_expression:
            return parse_schedule(self.cron_expression, offset=self.cron_offset)
        return Every(_UNITS[self.unit] * self.fixed_rate_value)


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
