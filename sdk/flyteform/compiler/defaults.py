"""What tasks get that do not say what they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flyteidl.core.tasks_pb2 import Resources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flyteidl.admin.matchable_resource_pb2 import TaskResourceSpec
    from flyteidl.core.compiler_pb2 import CompiledTask

_FIELDS: Final = {
    Resources.CPU: "cpu",
    Resources.MEMORY: "memory",
    Resources.GPU: "gpu",
    Resources.EPHEMERAL_STORAGE: "ephemeral_storage",
}


def apply_defaults(tasks: Iterable[CompiledTask], defaults: TaskResourceSpec) -> None:
    """Write the amounts into the containers that do not say theirs, each as request and limit."""
    amounts = {name: getattr(defaults, field) for name, field in _FIELDS.items() if getattr(defaults, field)}
    if not amounts:
        return
    for task in tasks:
        if task.template.WhichOneof("target") == "container":
            _complete(task.template.container.resources, amounts)


def _complete(resources: Resources, amounts: Mapping[Resources.ResourceName, str]) -> None:
    requested = {entry.name: entry.value for entry in resources.requests}
    limited = {entry.name: entry.value for entry in resources.limits}
    for name, amount in amounts.items():
        if name not in requested:
            resources.requests.add(name=name, value=limited.get(name, amount))
        if name not in limited:
            resources.limits.add(name=name, value=requested.get(name, amount))
