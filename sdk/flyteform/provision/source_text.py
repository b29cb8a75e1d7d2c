"""Python source for what a platform has: values, types, schedules, settings and calls, as a person would write them."""

from __future__ import annotations

import json
import keyword
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flyteidl.admin import common_pb2, launch_plan_pb2, matchable_resource_pb2, schedule_pb2
from flyteidl.core import execution_pb2, types_pb2

from flyteform.proto.flyteform.v1 import clusters_pb2
from flyteform.provision.clusters import state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_LINE = 110
_SIMPLE = {
    types_pb2.INTEGER: "int",
    types_pb2.FLOAT: "float",
    types_pb2.STRING: "str",
    types_pb2.BOOLEAN: "bool",
    types_pb2.DATETIME: "datetime",
    types_pb2.DURATION: "timedelta",
}
_MINUTES = {schedule_pb2.MINUTE: 1, schedule_pb2.HOUR: 60, schedule_pb2.DAY: 24 * 60}


class InexpressibleError(Exception):
    """There is no Python text for this; it is declared by reference instead."""


def call(name: str, positional: Iterable[str], keywords: Mapping[str, str | None]) -> str:
    """Return the text of a call; keywords without a text are left out. A long one gets a line for each argument."""
    arguments = [*positional, *(f"{key}={text}" for key, text in keywords.items() if text is not None)]
    line = f"{name}({', '.join(arguments)})"
    if len(line) <= _LINE:
        return line
    inner = "".join("    " + each.replace("\n", "\n    ") + ",\n" for each in arguments)
    return f"{name}(\n{inner})"


def identifier(text: str, taken: set[str]) -> str:
    """Return a name for a variable, unlike those that are taken, and take it."""
    base = re.sub(r"[^0-9A-Za-z_]+", "_", text).strip("_").lower() or "resource"
    base = f"_{base}" if base[0].isdigit() else base
    base = f"{base}_" if keyword.iskeyword(base) else base
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    taken.add(name)
    return name


def type_source(literal_type: types_pb2.LiteralType) -> str:
    """Write a type; `InexpressibleError` for one that Python has no word for."""
    match literal_type.WhichOneof("type"):
        case "simple" if literal_type.simple in _SIMPLE and not literal_type.HasField("annotation"):
            return _SIMPLE[literal_type.simple]
        case "collection_type":
            return f"list[{type_source(literal_type.collection_type)}]"
        case "map_value_type":
            return f"dict[str, {type_source(literal_type.map_value_type)}]"
        case other:
            raise InexpressibleError(f"a type {other}")


def quoted(text: str) -> str:
    """Write a text, in double quotes where that needs nothing escaped."""
    source = repr(text)
    return f'"{source[1:-1]}"' if source[0] == "'" and '"' not in source else source


def value_source(value: Any) -> str:  # noqa: PLR0911 - one return per kind of value
    """Write a value as Python; `InexpressibleError` for what is more than numbers, texts, times, lists and dicts."""
    match value:
        case str():
            return quoted(value)
        case None | bool() | int():
            return repr(value)
        case float() if value == value and value not in (float("inf"), float("-inf")):  # noqa: PLR0124 - no number
            return repr(value)
        case datetime():
            return _datetime(value)
        case timedelta():
            return _timedelta(value)
        case list():
            return f"[{', '.join(value_source(each) for each in value)}]"
        case dict():
            return f"{{{', '.join(f'{value_source(key)}: {value_source(each)}' for key, each in value.items())}}}"
        case _:
            raise InexpressibleError(f"a value of type {type(value).__name__}")


def texts_source(texts: Sequence[str]) -> str:
    """Write a list of texts."""
    return value_source(list(texts))


def _datetime(value: datetime) -> str:
    if value.tzinfo is None:
        raise InexpressibleError("a time without a zone")
    at = value.astimezone(UTC)
    parts = [at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond]
    while len(parts) > 3 and not parts[-1]:  # noqa: PLR2004 - year, month and day stay
        parts.pop()
    return f"datetime({', '.join(map(str, parts))}, tzinfo=UTC)"


def _timedelta(value: timedelta) -> str:
    parts = {"days": value.days, "seconds": value.seconds, "microseconds": value.microseconds}
    if not value.microseconds and not value.seconds % 60:
        parts = {"days": value.days, "minutes": value.seconds // 60}
    given = {name: str(number) for name, number in parts.items() if number} or {"seconds": "0"}
    return call("timedelta", (), given)


def schedule_source(schedule: schedule_pb2.Schedule) -> str | None:
    """Write a schedule, None if there is none."""
    kickoff = quoted(schedule.kickoff_time_input_arg) if schedule.kickoff_time_input_arg else None
    match schedule.WhichOneof("ScheduleExpression"):
        case None:
            return None
        case "cron_schedule" if not schedule.cron_schedule.offset:
            text = schedule.cron_schedule.schedule
        case "rate":
            rate = timedelta(minutes=schedule.rate.value * _MINUTES[schedule.rate.unit])
            return call("FixedRate", [_timedelta(rate)], {"kickoff_time_input_arg": kickoff})
        case other:
            raise InexpressibleError(f"a schedule with {other}")
    return call("CronSchedule", [quoted(text)], {"kickoff_time_input_arg": kickoff})


def notification_source(notification: common_pb2.Notification) -> str:
    """Write whom a notification goes to, and when."""
    kinds = {"email": "Email", "pager_duty": "PagerDuty", "slack": "Slack"}
    kind = notification.WhichOneof("type")
    if kind is None:
        raise InexpressibleError("a notification of nobody")
    phases = [execution_pb2.WorkflowExecution.Phase.Name(phase) for phase in notification.phases]
    return call(kinds[kind], [texts_source(getattr(notification, kind).recipients_email), texts_source(phases)], {})


def execution_keywords(
    message: matchable_resource_pb2.WorkflowExecutionConfig | launch_plan_pb2.LaunchPlanSpec,
) -> dict[str, str | None]:
    """Write what settings and launch plans say about executions, as keywords."""
    run_as = message.security_context.run_as
    return {
        "max_parallelism": _if_any(message.max_parallelism),
        "labels": _if_any(dict(sorted(message.labels.values.items()))),
        "annotations": _if_any(dict(sorted(message.annotations.values.items()))),
        "environment": _if_any({pair.key: pair.value for pair in message.envs.values}),
        "raw_output_prefix": _if_any(message.raw_output_data_config.output_location_prefix),
        "service_account": _if_any(run_as.k8s_service_account),
        "iam_role": _if_any(run_as.iam_role),
        "interruptible": repr(message.interruptible.value) if message.HasField("interruptible") else None,
        "overwrite_cache": _if_any(message.overwrite_cache),
    }


def quality_source(quality: execution_pb2.QualityOfService) -> str | None:
    """Write a quality of service, None if there is none."""
    match quality.WhichOneof("designation"):
        case "tier":
            return call(
                "QualityOfService", (), {"tier": quoted(execution_pb2.QualityOfService.Tier.Name(quality.tier))}
            )
        case "spec":
            budget = _timedelta(quality.spec.queueing_budget.ToTimedelta())
            return call("QualityOfService", (), {"queueing_budget": budget})
        case _:
            return None


def settings_source(  # noqa: PLR0911 - one return per kind of settings
    attributes: matchable_resource_pb2.MatchingAttributes,
) -> str:
    """Write one kind of settings."""
    match attributes.WhichOneof("target"):
        case "task_resource_attributes":
            found = attributes.task_resource_attributes
            amounts = {"defaults": _amounts(found.defaults), "limits": _amounts(found.limits)}
            return call("TaskResources", (), amounts)
        case "cluster_resource_attributes":
            values = dict(sorted(attributes.cluster_resource_attributes.attributes.items()))
            return call("ClusterResources", [value_source(values)], {})
        case "execution_queue_attributes":
            return call("ExecutionQueues", [texts_source(attributes.execution_queue_attributes.tags)], {})
        case "execution_cluster_label":
            return call("ExecutionClusterLabel", [quoted(attributes.execution_cluster_label.value)], {})
        case "quality_of_service" if (text := quality_source(attributes.quality_of_service)) is not None:
            return text
        case "plugin_overrides":
            return call("PluginOverrides", [_overrides(attributes.plugin_overrides)], {})
        case "workflow_execution_config":
            return call("ExecutionSettings", (), execution_keywords(attributes.workflow_execution_config))
        case "cluster_assignment":
            return call("ClusterAssignment", [quoted(attributes.cluster_assignment.cluster_pool_name)], {})
        case other:
            raise InexpressibleError(f"settings of {other}")


def cluster_source(cluster: clusters_pb2.Cluster) -> str:
    """Write a cluster; its state only if it is held back, so that operators keep the say otherwise."""
    spec = cluster.spec
    identity, storage = None, None
    if spec.HasField("identity"):
        keys = value_source(json.loads(spec.identity.jwks))
        texts = {name: quoted(getattr(spec.identity, name)) for name in ("issuer", "audience", "subject")}
        identity = call("ClusterIdentity", (), {**texts, "jwks": keys})
    if spec.HasField("storage") and spec.storage.ByteSize():
        names = ("prefix", "provider", "bucket", "region")
        storage = call("ClusterStorage", (), {name: _if_any(getattr(spec.storage, name)) for name in names})
    said = {
        "labels": _if_any(dict(sorted(spec.labels.items()))),
        "weight": value_source(spec.weight) if spec.HasField("weight") else None,
        "identity": identity,
        "storage": storage,
        "template_values": _if_any(dict(sorted(spec.template_values.items()))),
        "state": None if cluster.state == clusters_pb2.CLUSTER_STATE_READY else quoted(state_of(cluster)),
    }
    return call("Cluster", [quoted(cluster.name)], said)


def _overrides(overrides: matchable_resource_pb2.PluginOverrides) -> str:
    texts = []
    for one in overrides.overrides:
        missing = quoted(one.MissingPluginBehavior.Name(one.missing_plugin_behavior))
        texts.append(f"{quoted(one.task_type)}: {call('PluginOverride', [texts_source(one.plugin_id), missing], {})}")
    return f"{{{', '.join(texts)}}}"


def _amounts(spec: matchable_resource_pb2.TaskResourceSpec) -> str | None:
    amounts = {
        "cpu": _if_any(spec.cpu),
        "mem": _if_any(spec.memory),
        "gpu": _if_any(spec.gpu),
        "ephemeral_storage": _if_any(spec.ephemeral_storage),
    }
    return call("Resources", (), amounts) if any(amounts.values()) else None


def _if_any(value: Any) -> str | None:
    return value_source(value) if value else None
