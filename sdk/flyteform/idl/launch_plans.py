"""Launch plans and their schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from flyteidl.admin import launch_plan_pb2, schedule_pb2

from flyteform.authoring.schedules import CronSchedule, FixedRate
from flyteform.idl.interfaces import literal_map, parameters

if TYPE_CHECKING:
    from flyteidl.core.identifier_pb2 import Identifier

    from flyteform.authoring.launch_plans import LaunchPlan
    from flyteform.authoring.schedules import Schedule


def launch_plan_spec(launch_plan: LaunchPlan, workflow_id: Identifier) -> launch_plan_pb2.LaunchPlanSpec:
    """Return the spec: every free input of the workflow is a parameter, required if it has no default."""
    spec = launch_plan_pb2.LaunchPlanSpec(
        workflow_id=workflow_id,
        default_inputs=parameters(launch_plan.interface.inputs),
        fixed_inputs=literal_map(launch_plan.fixed_inputs, launch_plan.workflow.interface),
    )
    for part in (spec.entity_metadata, spec.labels, spec.annotations, spec.raw_output_data_config):
        part.SetInParent()
    if launch_plan.schedule is not None:
        spec.entity_metadata.schedule.CopyFrom(schedule_message(launch_plan.schedule))
    return spec


def schedule_message(schedule: Schedule) -> schedule_pb2.Schedule:
    """Return a schedule as a message."""
    message = schedule_pb2.Schedule(kickoff_time_input_arg=schedule.kickoff_time_input_arg or "")
    match schedule:
        case CronSchedule():
            message.cron_schedule.schedule = schedule.schedule
        case FixedRate():
            value, unit = schedule.in_largest_unit()
            message.rate.CopyFrom(schedule_pb2.FixedRate(value=value, unit=unit))
        case _:
            assert_never(schedule)
    return message
