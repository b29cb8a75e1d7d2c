"""Pods that tasks bring: anybody may have written them, so their form is looked at before anything is added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flyteform_dataplane.errors import UserError

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct

    from flyteform_dataplane.kubernetes.profile import Json


class _Part(BaseModel):
    """What is not looked at stays as it is, for Kubernetes to judge."""

    model_config = ConfigDict(extra="allow")


class _Mount(_Part):
    mountPath: str  # noqa: N815 - Kubernetes' name


class _Resources(_Part):
    requests: dict[str, Any] = Field(default_factory=dict)
    limits: dict[str, Any] = Field(default_factory=dict)


class _Named(_Part):
    name: str


class _Capabilities(_Part):
    add: list[str] = Field(default_factory=list)


class _Security(_Part):
    """The security context of a pod or of a container."""

    capabilities: _Capabilities = Field(default_factory=_Capabilities)
    sysctls: list[_Named] = Field(default_factory=list)
    windowsOptions: dict[str, Any] = Field(default_factory=dict)  # noqa: N815 - as above
    seccompProfile: dict[str, Any] = Field(default_factory=dict)  # noqa: N815 - as above
    appArmorProfile: dict[str, Any] = Field(default_factory=dict)  # noqa: N815 - as above


class _Container(_Named):
    env: list[_Named] = Field(default_factory=list)
    envFrom: list[dict[str, Any]] = Field(default_factory=list)  # noqa: N815 - as above
    resources: _Resources = Field(default_factory=_Resources)
    volumeMounts: list[_Mount] = Field(default_factory=list)  # noqa: N815 - as above
    ports: list[dict[str, Any]] = Field(default_factory=list)
    securityContext: _Security = Field(default_factory=_Security)  # noqa: N815 - as above


class _Term(_Part):
    matchExpressions: list[dict[str, Any]] = Field(default_factory=list)  # noqa: N815 - as above


class _Terms(_Part):
    nodeSelectorTerms: list[_Term] = Field(default_factory=list)  # noqa: N815 - as above


class _NodeAffinity(_Part):
    requiredDuringSchedulingIgnoredDuringExecution: _Terms = Field(default_factory=_Terms)  # noqa: N815 - as above


class _Affinity(_Part):
    nodeAffinity: _NodeAffinity = Field(default_factory=_NodeAffinity)  # noqa: N815 - as above


class _Spec(_Part):
    containers: list[_Container] = Field(min_length=1)
    initContainers: list[_Container] = Field(default_factory=list)  # noqa: N815 - as above
    resources: _Resources = Field(default_factory=_Resources)
    priorityClassName: str = ""  # noqa: N815 - as above
    volumes: list[_Named] = Field(default_factory=list)
    tolerations: list[dict[str, Any]] = Field(default_factory=list)
    nodeSelector: dict[str, str] = Field(default_factory=dict)  # noqa: N815 - as above
    affinity: _Affinity = Field(default_factory=_Affinity)
    securityContext: _Security = Field(default_factory=_Security)  # noqa: N815 - as above


def spec_of(given: Struct, task: str) -> Json:
    """Return the specification of a task's pod; `UserError` names the field that is wrong."""
    try:
        spec: Json = _natural(MessageToDict(given))
    except ValueError as error:
        raise UserError(f"the pod of task {task} is none: it has a number that is none") from error
    try:
        _Spec.model_validate(spec)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise UserError(f"the pod of task {task} is none: {place}: {first['msg']}") from error
    return spec


def containers_in(spec: Json) -> list[Json]:
    """Return all containers of a pod, those that run first before the others."""
    return [*(spec.get("initContainers") or []), *spec["containers"]]


def _natural(value: Any) -> Any:
    """Return a value as Kubernetes reads it: null is nothing, and a message of this kind knows no whole numbers."""
    if isinstance(value, dict):
        return {key: _natural(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_natural(one) for one in value if one is not None]
    return int(value) if isinstance(value, float) and value.is_integer() else value
