"""What a task has to fulfil before it is registered (contract 1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core.tasks_pb2 import Resources

from flyteform_controlplane.domain.quantities import parse_quantity
from flyteform_controlplane.domain.validation import require
from flyteform_controlplane.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from flyteidl.core.tasks_pb2 import TaskTemplate


def check_task(template: TaskTemplate) -> None:
    """Refuse an incomplete task, and resources that no cluster could give."""
    require(template.type, "type")
    require(template.HasField("metadata"), "metadata")
    require(template.HasField("interface"), "typed interface")
    require(template.metadata.HasField("runtime") and template.metadata.runtime.version, "runtime version")
    if template.WhichOneof("target") == "container":
        require(template.container.image, "container image")
        _check_resources(template.container.resources)
    if template.WhichOneof("target") == "k8s_pod":
        require(template.k8s_pod.HasField("pod_spec"), "pod_spec")


def _check_resources(resources: Resources) -> None:
    requests = _amounts(resources.requests, "requests")
    limits = _amounts(resources.limits, "limits")
    for name, request in requests.items():
        limit = limits.get(name)
        if limit is not None and limit < request:
            raise InvalidArgumentError(
                f"the limit of {_label(name)} is less than its request", remedy="raise the limit or lower the request"
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
            raise InvalidArgumentError(f"gpu must be a whole number, not {amount}")
    if request is not None and limit is not None and request != limit:
        raise InvalidArgumentError("for gpu the request and the limit must be equal")


def _label(name: Resources.ResourceName) -> str:
    return Resources.ResourceName.Name(name).lower()
