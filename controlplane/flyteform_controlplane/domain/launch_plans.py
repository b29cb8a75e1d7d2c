"""What a launch plan has to fulfil, and what registration adds to it (contract 1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin.launch_plan_pb2 import LaunchPlanClosure, LaunchPlanSpec
from flyteidl.core.execution_pb2 import WorkflowExecution
from flyteidl.core.identifier_pb2 import ResourceType
from flyteidl.core.types_pb2 import SimpleType

from flyteform.errors import InvalidInputError
from flyteform.schedules import from_idl
from flyteform_controlplane.domain.enums import name_of
from flyteform_controlplane.domain.inputs import expected_inputs
from flyteform_controlplane.domain.validation import (
    check_entries,
    check_identifier,
    check_labels,
    check_parallelism,
)
from flyteform_controlplane.domain.workflow_events import TERMINAL
from flyteform_controlplane.errors import InvalidArgumentError

if TYPE_CHECKING:
    from flyteidl.admin.schedule_pb2 import Schedule
    from flyteidl.core.interface_pb2 import ParameterMap, TypedInterface

    from flyteform_controlplane.domain.config import AdminConfig


def check_launch_plan(spec: LaunchPlanSpec, config: AdminConfig) -> None:
    """Refuse what can be seen to be wrong without the workflow."""
    check_identifier(spec.workflow_id, ResourceType.WORKFLOW)
    check_entries(spec.labels.values, config.max_label_entries, "labels")
    check_entries(spec.annotations.values, config.max_annotation_entries, "annotations")
    check_labels(spec.labels.values)
    check_parallelism(spec.max_parallelism)
    _check_times(spec.entity_metadata.schedule)
    for notification in spec.entity_metadata.notifications:
        for phase in notification.phases:
            if phase not in TERMINAL:
                name = name_of(WorkflowExecution.Phase, phase)
                raise InvalidArgumentError(f"notifications are sent on terminal phases only, not on {name}")


def complete(spec: LaunchPlanSpec, interface: TypedInterface) -> tuple[LaunchPlanSpec, LaunchPlanClosure]:
    """Return the spec with all unbound inputs as required parameters, and its closure (without times)."""
    expected = expected_inputs(interface.inputs, spec.default_inputs, spec.fixed_inputs)
    completed = LaunchPlanSpec()
    completed.CopyFrom(spec)
    completed.default_inputs.CopyFrom(expected)
    if schedule_type(spec) != "NONE":
        _check_schedule(spec.entity_metadata.schedule, expected)
    return completed, LaunchPlanClosure(expected_inputs=expected, expected_outputs=interface.outputs)


def schedule_type(spec: LaunchPlanSpec) -> str:
    """Return NONE, CRON or RATE."""
    match spec.entity_metadata.schedule.WhichOneof("ScheduleExpression"):
        case "cron_schedule" | "cron_expression":
            return "CRON"
        case "rate":
            return "RATE"
        case _:
            return "NONE"


def _check_times(schedule: Schedule) -> None:
    """Refuse what the scheduler could not read: said now, and not when the launch plan is activated."""
    try:
        from_idl(schedule)
    except InvalidInputError as error:
        raise InvalidArgumentError(f"invalid value for schedule: {error.message}", remedy=error.remedy) from error


def _check_schedule(schedule: Schedule, expected: ParameterMap) -> None:
    """Refuse a schedule for a launch plan that needs an input which nobody gives at the time of firing."""
    kickoff = schedule.kickoff_time_input_arg
    for name, parameter in expected.parameters.items():
        if name != kickoff and parameter.required:
            raise InvalidArgumentError(
                f"Cannot create a launch plan with a schedule if there is an unbound required input. [{name}]",
                remedy=f"give {name} a default or a fixed value",
            )
    if not kickoff:
        return
    if kickoff not in expected.parameters:
        raise InvalidArgumentError(
            f"Cannot create a schedule with a KickoffTimeInputArg that does not exist. [{kickoff}]"
        )
    if expected.parameters[kickoff].var.type.simple != SimpleType.DATETIME:
        raise InvalidArgumentError(f"KickoffTimeInputArg must reference a datetime input. [{kickoff}]")
