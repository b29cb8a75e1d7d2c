"""A launch plan taken apart: workflow, schedule, inputs, notifications, and all the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin import launch_plan_pb2
from flyteidl.core import execution_pb2

from flyteform.provision.impact.forms import Form, Shown, differences, flattened, of_message
from flyteform.provision.text import literal_text, schedule_text

if TYPE_CHECKING:
    from flyteidl.admin import common_pb2

    from flyteform.provision.model import FieldChange


def launch_plan_differences(
    before: launch_plan_pb2.LaunchPlanSpec, after: launch_plan_pb2.LaunchPlanSpec
) -> tuple[FieldChange, ...]:
    """Return what is different about two launch plans; that they start another version of the workflow is `calls`."""
    return differences(launch_plan_form(before), launch_plan_form(after))


def launch_plan_form(spec: launch_plan_pb2.LaunchPlanSpec) -> Form:
    """Take a launch plan apart."""
    rest = launch_plan_pb2.LaunchPlanSpec()
    rest.CopyFrom(spec)
    form: Form = {
        "workflow": Shown(spec.workflow_id.name),
        f"calls.{spec.workflow_id.name}": Shown(spec.workflow_id.version),
    }
    schedule = spec.entity_metadata.schedule
    if text := schedule_text(schedule):
        form["schedule"] = Shown(text)
    if schedule.kickoff_time_input_arg:
        form["schedule.kickoff_time_input"] = Shown(schedule.kickoff_time_input_arg)
    for name, parameter in spec.default_inputs.parameters.items():
        if parameter.WhichOneof("behavior") == "default":
            form[f"default_inputs.{name}"] = of_message(literal_text(parameter.default), parameter.default)
    for name, literal in spec.fixed_inputs.literals.items():
        form[f"fixed_inputs.{name}"] = of_message(literal_text(literal), literal)
    form |= {f"notifications.{notification_text(each)}": Shown("sent") for each in spec.entity_metadata.notifications}
    for word, values in (("labels", spec.labels.values), ("annotations", spec.annotations.values)):
        form |= {f"{word}.{key}": Shown(value) for key, value in values.items()}
    form |= {f"envs.{pair.key}": Shown(pair.value) for pair in spec.envs.values}
    for name in ("workflow_id", "default_inputs", "fixed_inputs", "labels", "annotations", "envs"):
        rest.ClearField(name)
    for name in ("schedule", "notifications"):
        rest.entity_metadata.ClearField(name)
    return form | flattened(rest)


def notification_text(notification: common_pb2.Notification) -> str:
    """Say who is told, how, and when."""
    kind = notification.WhichOneof("type") or "nothing"
    recipients = getattr(notification, kind).recipients_email if kind != "nothing" else []
    phases = [execution_pb2.WorkflowExecution.Phase.Name(phase).lower() for phase in notification.phases]
    return f"{kind.replace('_', ' ')} to {' '.join(sorted(recipients))} on {' '.join(sorted(phases))}"
