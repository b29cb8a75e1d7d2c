"""What the containers of a pod task ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flyteidl.core.tasks_pb2 import Resources
from google.protobuf.json_format import Error, MessageToDict

from flyteform_controlplane.errors import InvalidArgumentError

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct

_NAMES: Final = {
    "cpu": Resources.CPU,
    "memory": Resources.MEMORY,
    "ephemeral-storage": Resources.EPHEMERAL_STORAGE,
}


def pod_resources(pod_spec: Struct) -> list[Resources]:
    """Return the resources of each container; `InvalidArgumentError` if this is no pod spec."""
    try:
        spec = MessageToDict(pod_spec)
    except (Error, ValueError) as error:
        raise InvalidArgumentError("invalid value for pod_spec: it has numbers that JSON has not") from error
    containers = _typed(spec.get("containers", []), list, "containers")
    return [
        _resources(_typed(container, dict, f"containers[{position}]"), position)
        for position, container in enumerate(containers)
    ]


def _resources(container: dict[str, Any], position: int) -> Resources:
    where = f"containers[{position}].resources"
    given = _typed(container.get("resources") or {}, dict, where)
    found = Resources()
    for side in ("requests", "limits"):
        for key, value in _typed(given.get(side) or {}, dict, f"{where}.{side}").items():
            name = Resources.GPU if key.endswith("/gpu") else _NAMES.get(key)
            if name is not None:
                getattr(found, side).add(name=name, value=_quantity(value, f"{where}.{side}.{key}"))
    return found


def _quantity(value: object, where: str) -> str:
    # A number is a quantity in JSON too; protobuf's Struct knows floats only.
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    text: str = _typed(value, str, where)
    return text


def _typed(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind):
        raise InvalidArgumentError(f"invalid value for pod_spec: {where} is not a {kind.__name__}")
    return value
