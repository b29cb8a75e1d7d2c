"""What a task has to fulfil before it is registered (contract 1.3)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from flyteidl.admin.matchable_resource_pb2 import TaskResourceSpec
from flyteidl.core.tasks_pb2 import Resources

from flyteform_controlplane.domain.config import TaskResources
from flyteform_controlplane.domain.enums import name_of
from flyteform_controlplane.domain.pods import pod_resources
from flyteform_controlplane.domain.quantities import parse_quantity
from flyteform_controlplane.domain.validation import require
from flyteform_controlplane.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flyteidl.core.tasks_pb2 import TaskTemplate

    from flyteform_controlplane.domain.config import TaskScope
    from flyteform_controlplane.domain.validation import ProjectAndDomain

_FIELDS = {
    Resources.CPU: "cpu",
    Resources.MEMORY: "memory",
    Resources.GPU: "gpu",
    Resources.EPHEMERAL_STORAGE: "ephemeral_storage",
}
_ENDLESS = Decimal("Infinity")


def asks_for_resources(template: TaskTemplate) -> bool:
    """Say whether the platform's limits matter to the task."""
    resources = template.container.resources
    return bool(resources.requests or resources.limits) or template.HasField("k8s_pod")


def check_task(template: TaskTemplate, limits: TaskResources) -> None:
    """Refuse an incomplete task, and resources that no cluster could give or the platform does not."""
    require(template.type, "type")
    require(template.HasField("metadata"), "metadata")
    require(template.HasField("interface"), "typed interface")
    if template.metadata.HasField("runtime"):
        require(template.metadata.runtime.version, "runtime version")
    if template.WhichOneof("target") == "container":
        require(template.container.image, "container image")
        _check_resources(template.container.resources, limits)
    if template.WhichOneof("target") == "k8s_pod":
        if not template.k8s_pod.HasField("pod_spec"):
            raise InvalidArgumentError(
                "invalid TaskSpecification, pod tasks should specify their target as a K8sPod with a defined pod spec"
            )
        for resources in pod_resources(template.k8s_pod.pod_spec):
            _check_resources(resources, limits)


def check_task_type(task_type: str, scope: ProjectAndDomain, whitelist: Mapping[str, Sequence[TaskScope]]) -> None:
    """Refuse a type of task that the operator allows elsewhere only."""
    scopes = whitelist.get(task_type)
    if scopes and not any(
        one.project in ("", scope.project) and (not one.project or one.domain in ("", scope.domain)) for one in scopes
    ):
        raise InvalidArgumentError(
            f"task type [{task_type}] must be whitelisted before use in project [{scope.project}] "
            f"and domain [{scope.domain}]",
            remedy="ask the platform's operator to allow it there",
        )


def complete_resources(spec: TaskResourceSpec, default: TaskResources) -> TaskResources:
    """Return amounts that were set for a project or domain; what they leave out is the platform's."""
    return TaskResources(
        cpu=spec.cpu or default.cpu,
        memory=spec.memory or default.memory,
        gpu=spec.gpu or default.gpu,
        ephemeral_storage=spec.ephemeral_storage or default.ephemeral_storage,
    )


def resource_spec(amounts: TaskResources) -> TaskResourceSpec:
    """Return the amounts as a message."""
    return TaskResourceSpec(
        cpu=amounts.cpu, memory=amounts.memory, gpu=amounts.gpu, ephemeral_storage=amounts.ephemeral_storage
    )


def check_task_resources(defaults: TaskResourceSpec, limits: TaskResourceSpec) -> None:
    """Refuse attributes that are no quantities, or whose defaults are above their limits."""
    for name in _FIELDS.values():
        default, limit = getattr(defaults, name), getattr(limits, name)
        most = parse_quantity(limit, f"limits.{name}") if limit else None
        if default and parse_quantity(default, f"defaults.{name}") > (most if most is not None else _ENDLESS):
            raise InvalidArgumentError(
                f"Requested {name.upper()} default [{default}] is greater than the limit [{limit}]. "
                "Please fix your configuration"
            )


def _check_resources(resources: Resources, platform: TaskResources) -> None:
    requests = _amounts(resources.requests, "requests")
    limits = _amounts(resources.limits, "limits")
    for name, request in requests.items():
        limit = limits.get(name)
        if limit is not None and limit < request:
            texts = (_text(resources.requests, name), _text(resources.limits, name))
            raise InvalidArgumentError(
                f"Requested {name_of(Resources.ResourceName, name)} default [{texts[0]}] is greater than the limit "
                f"[{texts[1]}]. Please fix your configuration"
            )
    for kind, amounts, entries in (("limit", limits, resources.limits), ("default", requests, resources.requests)):
        for name, amount in amounts.items():
            most = getattr(platform, _FIELDS[name]) if name in _FIELDS else ""
            if most and amount > parse_quantity(most, f"task_limits.{_FIELDS[name]}"):
                label = name_of(Resources.ResourceName, name)
                raise InvalidArgumentError(
                    f"Requested {label} {kind} [{_text(entries, name)}] is greater than current limit set "
                    f"in the platform configuration [{most}]. Please contact Flyte Admins to change "
                    "these limits or consult the configuration"
                )
    _check_gpus(requests.get(Resources.GPU), limits.get(Resources.GPU))


def _amounts(entries: Iterable[Resources.ResourceEntry], side: str) -> dict[Resources.ResourceName, Decimal]:
    amounts: dict[Resources.ResourceName, Decimal] = {}
    for entry in entries:
        if entry.name in amounts:
            raise InvalidArgumentError(f"{_label(entry.name)} is given twice in resources.{side}")
        amount = parse_quantity(entry.value, f"resources.{side}.{_label(entry.name)}")
        if amount < 0:
            raise InvalidArgumentError(f"resources.{side}.{_label(entry.name)} is negative: {entry.value}")
        amounts[entry.name] = amount
    return amounts


def _check_gpus(request: Decimal | None, limit: Decimal | None) -> None:
    for amount in (request, limit):
        if amount is not None and amount != int(amount):
            raise InvalidArgumentError(f"gpu must be a whole number, got: {amount} instead")
    if request is not None and limit is not None and request != limit:
        raise InvalidArgumentError("For extended resource 'gpu' the default value must equal the limit value")


def _text(entries: Iterable[Resources.ResourceEntry], name: Resources.ResourceName) -> str:
    return next(entry.value for entry in entries if entry.name == name)


def _label(name: Resources.ResourceName) -> str:
    return name_of(Resources.ResourceName, name).lower()
