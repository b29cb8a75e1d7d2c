"""Tasks and map tasks as task templates with a container."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteidl.admin import description_entity_pb2, task_pb2
from flyteidl.core import literals_pb2, security_pb2, tasks_pb2

import flyteform
from flyteform.authoring.mapping import MapTask
from flyteform.errors import DefinitionError
from flyteform.idl.interfaces import typed_interface

if TYPE_CHECKING:
    from flyteidl.core.identifier_pb2 import Identifier

    from flyteform.authoring.resources import Resources
    from flyteform.authoring.secrets import Secret
    from flyteform.authoring.tasks import PythonTask, TaskSettings

ENTRY_POINT = "flyteform-execute"  # the console script of the task entry point
_PLATFORM_ARGS = (
    ("--inputs", "{{.input}}"),
    ("--output-prefix", "{{.outputPrefix}}"),
    ("--raw-output-data-prefix", "{{.rawOutputDataPrefix}}"),
    ("--checkpoint-path", "{{.checkpointOutputPrefix}}"),
    ("--prev-checkpoint", "{{.prevCheckpointPrefix}}"),
)
_RESOURCE_NAMES = {
    "cpu": tasks_pb2.Resources.CPU,
    "mem": tasks_pb2.Resources.MEMORY,
    "gpu": tasks_pb2.Resources.GPU,
    "ephemeral_storage": tasks_pb2.Resources.EPHEMERAL_STORAGE,
}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a task's code is: the container image, and the native URI of the code bundle, if it is not in the image."""

    image: str
    bundle_uri: str | None = None


def task_spec(task: PythonTask | MapTask, identifier: Identifier, placement: Placement) -> task_pb2.TaskSpec:
    """Return the task's spec; `DefinitionError` for a function that no other process could find."""
    python_task = task.task if isinstance(task, MapTask) else task
    if not python_task.importable:
        raise DefinitionError(
            f"{python_task.place}: {python_task.subject} is declared inside of a function",
            remedy="move it to the module's top level, where other processes find it",
        )
    settings = python_task.settings
    template = tasks_pb2.TaskTemplate(
        id=identifier,
        type="python-task",
        metadata=_metadata(settings),
        interface=typed_interface(task.interface),
        container=_container(task, python_task, placement),
        task_type_version=1 if isinstance(task, MapTask) else 0,
    )
    if settings.secret_requests:
        template.security_context.secrets.extend(map(_secret, settings.secret_requests))
    return task_pb2.TaskSpec(template=template, description=description(settings.description))


def description(text: str) -> description_entity_pb2.DescriptionEntity:
    """Return a description: the text's first line is the short one."""
    message = description_entity_pb2.DescriptionEntity(short_description=text.partition("\n")[0])
    if text:
        message.long_description.value = text
    message.long_description.format = description_entity_pb2.DESCRIPTION_FORMAT_RST
    return message


def _metadata(settings: TaskSettings) -> tasks_pb2.TaskMetadata:
    metadata = tasks_pb2.TaskMetadata(
        discoverable=settings.cache,
        discovery_version=settings.cache_version if settings.cache else "",
        cache_serializable=settings.cache_serialize,
        cache_ignore_input_vars=settings.cache_ignore_input_vars,
        retries=literals_pb2.RetryStrategy(retries=settings.retries),
        runtime=tasks_pb2.RuntimeMetadata(
            type=tasks_pb2.RuntimeMetadata.FLYTE_SDK, version=flyteform.__version__, flavor="python"
        ),
    )
    if settings.timeout is not None:
        metadata.timeout.FromTimedelta(settings.timeout)
    if settings.interruptible is not None:
        metadata.interruptible = settings.interruptible
    return metadata


def _secret(secret: Secret) -> security_pb2.Secret:
    return security_pb2.Secret(
        group=secret.group,
        key=secret.key,
        group_version=secret.group_version,
        mount_requirement=security_pb2.Secret.MountType.Name(secret.mount_requirement.value),
        env_var=secret.env_var,
    )


def _container(task: PythonTask | MapTask, python_task: PythonTask, placement: Placement) -> tasks_pb2.Container:
    settings = python_task.settings
    return tasks_pb2.Container(
        image=settings.container_image or placement.image,
        args=_args(task, python_task, placement),
        resources=resources(settings.requests, settings.limits),
        env=[literals_pb2.KeyValuePair(key=key, value=value) for key, value in settings.environment],
    )


def _args(task: PythonTask | MapTask, python_task: PythonTask, placement: Placement) -> list[str]:
    args = [ENTRY_POINT, *(part for pair in _PLATFORM_ARGS for part in pair)]
    if placement.bundle_uri is not None:
        args += ["--bundle", placement.bundle_uri]
    if isinstance(task, MapTask):
        args.append("--map")
        if task.bound_names:
            args += ["--bound", ",".join(task.bound_names)]
    elif task.dynamic:
        args += ["--image", placement.image]  # what it makes runs in the image that it would run in by itself
    return [*args, "--module", python_task.module, "--task", python_task.function_name]


def resources(requests: Resources | None, limits: Resources | None) -> tasks_pb2.Resources:
    """Return requests and limits."""
    return tasks_pb2.Resources(requests=_entries(requests), limits=_entries(limits))


def _entries(amounts: Resources | None) -> list[tasks_pb2.Resources.ResourceEntry]:
    pairs = amounts.items() if amounts is not None else ()
    return [tasks_pb2.Resources.ResourceEntry(name=_RESOURCE_NAMES[name], value=value) for name, value in pairs]
