"""The semantic difference of tasks and launch plans: everything that differs has a name."""

from __future__ import annotations

import math

import pytest
from flyteidl.admin import launch_plan_pb2
from flyteidl.core import tasks_pb2, types_pb2
from google.protobuf.json_format import MessageToDict
from hypothesis import given

from flyteform.provision.impact.launch_plans import launch_plan_differences
from flyteform.provision.impact.tasks import task_differences
from support.plans import launch_plan_spec, tasks


def changed(before: tasks_pb2.TaskTemplate, after: tasks_pb2.TaskTemplate) -> dict[str, tuple[str | None, str | None]]:
    """Return the differences of two tasks by path."""
    return {each.path: (each.before, each.after) for each in task_differences(before, after)}


def test_what_people_set_has_short_names() -> None:
    """Resources, retries, cache, environment, image, secrets and types are named as people write them."""
    before, after = tasks_pb2.TaskTemplate(), tasks_pb2.TaskTemplate()
    before.container.resources.requests.add(name=tasks_pb2.Resources.CPU, value="1")
    after.container.resources.requests.add(name=tasks_pb2.Resources.CPU, value="2")
    after.metadata.retries.retries = 3
    after.metadata.timeout.FromSeconds(90)
    before.metadata.discoverable = after.metadata.discoverable = True
    before.metadata.discovery_version, after.metadata.discovery_version = "1", "2"
    before.container.image, after.container.image = "i:1", "i:2"
    after.container.env.add(key="MODE", value="fast")
    after.security_context.secrets.add(group="db", key="password")
    after.interface.inputs.variables["x"].type.simple = types_pb2.INTEGER
    assert changed(before, after) == {
        "resources.requests.cpu": ("1", "2"),
        "retries": (None, "3"),
        "timeout": (None, "90s"),
        "cache": ("version 1", "version 2"),
        "image": ("i:1", "i:2"),
        "environment.MODE": (None, "fast"),
        "secrets.db/password": (None, "any"),
        "inputs.x": (None, "int"),
    }


def test_what_nobody_has_a_word_for_is_named_by_its_field() -> None:
    """A plugin's settings, a pod and anything else are compared too, entries of lists by their names."""
    before, after = tasks_pb2.TaskTemplate(), tasks_pb2.TaskTemplate()
    after.custom["workers"] = 4
    after.metadata.pod_template_name = "big"
    after.config["queue"] = "gpu"
    pod = {"containers": [{"name": "primary", "env": [{"name": "A", "value": "1"}]}]}
    after.k8s_pod.pod_spec.update(pod)
    assert changed(before, after) == {
        "custom.workers": (None, "4.0"),
        "metadata.pod_template_name": (None, "big"),
        "config.queue": (None, "gpu"),
        "k8s_pod.pod_spec.containers.primary.env.A": (None, "1"),
    }


@pytest.mark.parametrize("number", [math.inf, math.nan])
def test_numbers_that_json_does_not_have(number: float) -> None:
    """An infinite number in a plugin's settings or in a value is a difference like others, and no failure."""
    before, after = tasks_pb2.TaskTemplate(), tasks_pb2.TaskTemplate()
    after.custom["factor"] = number
    assert list(changed(before, after)) == ["content"]
    assert changed(after, after) == {}
    spec = launch_plan_spec()
    spec.fixed_inputs.literals["x"].scalar.generic["factor"] = number
    assert [each.path for each in launch_plan_differences(launch_plan_spec(), spec)] == ["fixed_inputs.x"]


def test_where_the_code_lies_is_no_difference() -> None:
    """The URI of a bundle is another on every platform; arguments besides it count."""
    before, after = tasks_pb2.TaskTemplate(), tasks_pb2.TaskTemplate()
    before.container.args.extend(["--bundle", "s3://a", "--task", "t"])
    after.container.args.extend(["--bundle", "s3://b", "--task", "t"])
    before.id.version, after.id.version = "1", "2"
    assert changed(before, after) == {}
    after.container.args[3] = "u"
    assert list(changed(before, after)) == ["container.args"]


@given(tasks(), tasks())
def test_tasks_differ_by_what_is_named_and_by_nothing_else(
    before: tasks_pb2.TaskTemplate, after: tasks_pb2.TaskTemplate
) -> None:
    """A task and itself do not differ; two that do not differ have the same content, apart from where code lies."""
    assert changed(before, before) == {}
    if not changed(before, after):
        assert _content(before) == _content(after)


def _content(template: tasks_pb2.TaskTemplate) -> object:
    """Return what a task is: settings of a cache that is off mean nothing, the order of ignored inputs neither."""
    copy = tasks_pb2.TaskTemplate()
    copy.CopyFrom(template)
    ignored = sorted(copy.metadata.cache_ignore_input_vars)
    for name in ("discovery_version", "cache_ignore_input_vars") if not copy.metadata.discoverable else ():
        copy.metadata.ClearField(name)  # type: ignore[arg-type]
    if copy.metadata.discoverable:
        copy.metadata.cache_ignore_input_vars[:] = ignored
    arguments = list(copy.container.args)
    for index, each in enumerate(arguments[:-1]):
        if each == "--bundle":
            copy.container.args[index + 1] = "(code)"
    environment = sorted((pair.key, pair.value) for pair in copy.container.env)
    del copy.container.env[:]
    return MessageToDict(copy), environment


def test_launch_plans() -> None:
    """Schedule, inputs, notifications, labels, and settings without a word of their own are named."""
    before, after = launch_plan_spec("0 3 * * *", x=1), launch_plan_spec("0 4 * * *", x=2)
    before.workflow_id.version, after.workflow_id.version = "v1", "v2"
    after.entity_metadata.notifications.add(phases=[5]).email.recipients_email.append("ops@example.org")
    after.labels.values["team"] = "a"
    after.max_parallelism = 3
    after.overwrite_cache = True
    after.fixed_inputs.literals["y"].scalar.primitive.string_value = "b"
    found = {each.path: (each.before, each.after) for each in launch_plan_differences(before, after)}
    assert found == {
        "schedule": ("cron 0 3 * * *", "cron 0 4 * * *"),
        "default_inputs.x": ("1", "2"),
        "calls.m.w": ("v1", "v2"),
        "notifications.email to ops@example.org on failing": (None, "sent"),
        "labels.team": (None, "a"),
        "max_parallelism": (None, "3"),
        "overwrite_cache": (None, "true"),
        "fixed_inputs.y": (None, "'b'"),
    }
    assert launch_plan_differences(after, after) == ()


def test_required_inputs_of_a_launch_plan_are_its_workflows() -> None:
    """Only defaults are a launch plan's own; that the rest is required follows from its workflow."""
    spec = launch_plan_pb2.LaunchPlanSpec()
    spec.default_inputs.parameters["x"].required = True
    assert launch_plan_differences(launch_plan_pb2.LaunchPlanSpec(), spec) == ()
