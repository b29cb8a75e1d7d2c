"""What a cluster wants of its pods. The defaults are Flyte's own, of its section `plugins.k8s`.

In a file the fields have hyphens, as Flyte writes its own settings, and one that is not known is an error.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read by pydantic
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, with_config

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.plugins.resources import parse_quantity

Json = dict[str, Any]

GPU = "nvidia.com/gpu"
# What a task has made in hours is not lost because its store is away for a minute: for this SDK and its copier.
PATIENCE: Mapping[str, str] = {"FLYTEFORM_STORE_PATIENCE": "120"}
_FILE = ConfigDict(extra="forbid", alias_generator=lambda name: name.replace("_", "-"))


def _some(text: str) -> str:
    """Refuse what is no quantity, or none of it, when the file is read: no pod could be made with it."""
    try:
        if parse_quantity(text):
            return text
    except UserError as error:
        raise ValueError(error.message) from error
    raise ValueError(f"{text!r} is nothing")


Quantity = Annotated[str, AfterValidator(_some)]


@with_config(_FILE)
@dataclass(frozen=True, slots=True)
class Accelerators:
    """How nodes with GPUs are marked: labels that say which device and how it is partitioned, taints of the same."""

    resource: str = GPU
    device_label: str = "k8s.amazonaws.com/accelerator"
    partition_label: str = "k8s.amazonaws.com/gpu-partition-size"
    # Names that tasks may use → the values of the device label.
    devices: Mapping[str, str] = field(default_factory=dict)
    unpartitioned_requirement: Json | None = None
    unpartitioned_toleration: Json | None = None


@with_config(_FILE)
@dataclass(frozen=True, slots=True)
class Spot:
    """How spot capacity is marked, which interruptible attempts may use, and what keeps all others off it."""

    tolerations: tuple[Json, ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    requirement: Json | None = None
    stable_requirement: Json | None = None


@with_config(_FILE)
@dataclass(frozen=True, slots=True)
class GracePeriods:
    """How long a pod may stay in a state that may mend itself; zero `pending` means for ever."""

    image_pull_backoff: timedelta = timedelta(minutes=3)
    create_container_error: timedelta = timedelta(minutes=3)
    create_container_config_error: timedelta = timedelta(0)
    pending: timedelta = timedelta(0)


@with_config(_FILE)
@dataclass(frozen=True, slots=True)
class Copilot:
    """What copies the inputs and outputs of containers that know nothing of Flyte, in two containers beside them.

    `image` has our own code for it, as the operator's has; without one such tasks are refused. `timeout` is for each
    of the two, not for the command between them.
    """

    image: str = ""
    command: tuple[str, ...] = ("python3", "-m", "flyteform_dataplane.copilot")
    cpu: Quantity = "500m"
    memory: Quantity = "256Mi"
    timeout: timedelta = timedelta(hours=1)


@with_config(_FILE)
@dataclass(frozen=True, slots=True)
class LogLink:
    """Where people read what a container prints; each URI is a template with Flyte's variables (`{{ .podName }}`)."""

    display_name: str
    template_uris: tuple[str, ...]


@with_config(_FILE)
@dataclass(frozen=True, slots=True)
class PodProfile:
    """The settings of one cluster. Quantities are Kubernetes' own (`500m`, `1Gi`)."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(
        default_factory=lambda: {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
    )
    environment: Mapping[str, str] = field(default_factory=dict)
    # Secrets and configmaps of a task's namespace whose entries are variables; one that is not there is none.
    env_from_secrets: tuple[str, ...] = ()
    env_from_config_maps: tuple[str, ...] = ()
    cpu: Quantity = "1"
    memory: Quantity = "1Gi"
    tolerations: tuple[Json, ...] = ()
    # Tolerations that a pod gets for a resource that it asks for: `nvidia.com/gpu` → tolerations.
    resource_tolerations: Mapping[str, tuple[Json, ...]] = field(default_factory=dict)
    # Resources whose nodes have a taint of the resource's own name, as Kubernetes marks nodes with devices.
    add_tolerations_for_extended_resources: tuple[str, ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    affinity: Json | None = None
    scheduler: str = ""
    dns: Json | None = None
    host_network: bool = False
    # Whether pods that tasks bring may ask for what is the node's: host networking, paths of it, privileges.
    host_access: bool = False
    image_pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""
    image_pull_secrets: tuple[str, ...] = ()
    # What a program has between SIGTERM and SIGKILL.
    termination_grace_seconds: Annotated[int, Field(ge=0)] = 30
    # Restricted pod security: a pod that asks for more has to say so in its own template.
    pod_security: Json = field(
        default_factory=lambda: {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "fsGroup": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
    )
    container_security: Json = field(
        default_factory=lambda: {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    )
    # The PodTemplate that tasks get which name none, where there is one of this name. It is looked for in the
    # namespace of the task and then in `pod_template_namespace` (the operator's own), as is one that a task names.
    default_pod_template_name: str = ""
    pod_template_namespace: str = ""
    copilot: Copilot = field(default_factory=Copilot)
    log_links: tuple[LogLink, ...] = ()
    # What tasks choose by their setting `link_type`; these may name `{{ .taskConfig.SETTING }}`, too.
    dynamic_log_links: Mapping[str, LogLink] = field(default_factory=dict)
    # Whether the pods of an execution go when that is over, and with them what Kubernetes has of their logs.
    delete_resource_on_finalize: bool = False
    finalizer: str = "flyte.org/finalizer"
    inject_finalizer: bool = False
    accelerators: Accelerators = field(default_factory=Accelerators)
    spot: Spot = field(default_factory=Spot)
    grace: GracePeriods = field(default_factory=GracePeriods)
