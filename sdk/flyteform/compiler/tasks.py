"""A task specification becomes a compiled task: what a container or a pod needs in order to run is there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flyteidl.admin import task_pb2
from flyteidl.core import compiler_pb2, identifier_pb2, tasks_pb2
from google.protobuf import json_format

from flyteform.compiler.errors import Collector, ErrorKind

if TYPE_CHECKING:
    from flyteidl.core.compiler_pb2 import CompiledTask
    from flyteidl.core.identifier_pb2 import Identifier
    from flyteidl.core.tasks_pb2 import Resources, TaskTemplate

_QUANTITY: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def compile_task(spec: task_pb2.TaskSpec | TaskTemplate, identifier: Identifier) -> CompiledTask:
    """Compile a task under the id `identifier`; the template is carried over unchanged otherwise.

    Raises CompileErrors when an image, a command, a quantity or a container's name is missing or malformed.
    """
    compiled = compiler_pb2.CompiledTask()
    compiled.template.CopyFrom(spec.template if isinstance(spec, task_pb2.TaskSpec) else spec)
    compiled.template.id.CopyFrom(identifier)
    compiled.template.id.resource_type = identifier_pb2.TASK
    errors = Collector()
    match compiled.template.WhichOneof("target"):
        case "container":
            _check_container(compiled.template, errors)
        case "k8s_pod":
            _check_pod(compiled.template, errors)
        case _:
            pass  # Run by a plugin or a connector, which knows its own needs.
    errors.raise_if_any()
    return compiled


def is_quantity(value: str) -> bool:
    """Say whether a text is a Kubernetes quantity such as `500m`, `1.5`, `2Gi` or `1e3`."""
    return _QUANTITY.fullmatch(value) is not None


def _check_container(template: TaskTemplate, errors: Collector) -> None:
    container, interface = template.container, template.interface
    has_variables = bool(interface.inputs.variables or interface.outputs.variables)
    if has_variables and not container.command and not container.args:
        errors.value_required("container", "command")
    if not container.image:
        errors.value_required("container", "image")
    _check_resources(container.resources, errors)


def _check_resources(resources: Resources, errors: Collector) -> None:
    for entry in (*resources.requests, *resources.limits):
        if not is_quantity(entry.value):
            known = tasks_pb2.Resources.ResourceName.values()
            name = tasks_pb2.Resources.ResourceName.Name(entry.name) if entry.name in known else str(entry.name)
            errors.add(ErrorKind.UNRECOGNIZED_VALUE, f"resources.{name}", f"Unrecognized value [{entry.value}].")


def _check_pod(template: TaskTemplate, errors: Collector) -> None:
    try:
        containers = json_format.MessageToDict(template.k8s_pod.pod_spec).get("containers") or []
    except (json_format.Error, ValueError):  # an infinite number, which JSON does not have
        containers = None
    if not isinstance(containers, list) or not all(isinstance(container, dict) for container in containers):
        errors.add(ErrorKind.INVALID_VALUE, "root", "Invalid value [k8s pod spec].")
        return
    for container in containers:
        name = container.get("name", "")
        if not isinstance(name, str):
            errors.add(ErrorKind.INVALID_VALUE, "root", "Invalid value [k8s pod spec].")
        elif not _LABEL.fullmatch(name):
            errors.add(ErrorKind.INVALID_VALUE, "root", "Invalid value [k8s pod spec container name].")
