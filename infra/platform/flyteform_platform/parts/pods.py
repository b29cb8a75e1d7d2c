"""Pods as the restricted level of pod security wants them, spread over zones and nodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

from flyteform_platform.parts.labels import labels, selector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform_platform.config.common import Amounts
    from flyteform_platform.foundation import NodeGroup
    from pulumi import Input

USER: Final = 65532
_TMP: Final = "/tmp"  # noqa: S108 - a volume of the pod's own


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume and where the main container has it; `init` where only the containers before it have it."""

    path: str
    volume: core.VolumeArgs
    writable: bool = False
    init: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods of one component: one main container, and what surrounds it.

    `environment` has texts, `secrets` maps variables to (Secret, key). Of `grace_seconds` between the order to end and
    the kill, the first `drain_seconds` pass before the process hears of it: until then balancers still send calls here.
    """

    component: str
    image: str
    pull_policy: str
    command: tuple[Input[str], ...]
    account: str
    resources: Amounts
    nodes: NodeGroup
    zone_label: str = "topology.kubernetes.io/zone"
    ports: Mapping[str, int] = field(default_factory=dict)
    environment: Mapping[str, Input[str]] = field(default_factory=dict)
    secrets: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    before: tuple[core.ContainerArgs, ...] = ()
    probes: Mapping[str, core.ProbeArgs] = field(default_factory=dict)
    pod_labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, Input[str]] = field(default_factory=dict)
    grace_seconds: int = 30
    drain_seconds: int = 0
    priority: str = ""
    restart: str = "Always"
    # Whether the pods call the API server of their cluster.
    calls_kubernetes: bool = False


def container_security() -> core.SecurityContextArgs:
    """Return what every container has: no way to more rights, and nothing of its own to write to."""
    return core.SecurityContextArgs(
        allow_privilege_escalation=False,
        privileged=False,
        read_only_root_filesystem=True,
        run_as_non_root=True,
        capabilities=core.CapabilitiesArgs(drop=["ALL"]),
        seccomp_profile=core.SeccompProfileArgs(type="RuntimeDefault"),
    )


def pod_security() -> core.PodSecurityContextArgs:
    """Return the same for the pod: a user that is nobody, whose group may read mounted secrets."""
    return core.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=USER,
        run_as_group=USER,
        fs_group=USER,
        seccomp_profile=core.SeccompProfileArgs(type="RuntimeDefault"),
    )


def resources_of(amounts: Amounts) -> core.ResourceRequirementsArgs:
    """Return requests and limits: memory is limited to what is asked for, CPU is not limited."""
    return core.ResourceRequirementsArgs(
        requests={"cpu": amounts.cpu, "memory": amounts.memory, "ephemeral-storage": "64Mi"},
        limits={"memory": amounts.memory, "ephemeral-storage": "1Gi"},
    )


def variables(
    texts: Mapping[str, Input[str]], secrets: Mapping[str, tuple[str, str]] | None = None
) -> list[core.EnvVarArgs]:
    """Return environment variables: texts, and keys of Secrets."""
    found = [core.EnvVarArgs(name=name, value=value) for name, value in sorted(texts.items())]
    for name, (secret, key) in sorted((secrets or {}).items()):
        chosen = core.SecretKeySelectorArgs(name=secret, key=key)
        found.append(core.EnvVarArgs(name=name, value_from=core.EnvVarSourceArgs(secret_key_ref=chosen)))
    return found


def template(pods: Pods) -> core.PodTemplateSpecArgs:
    """Return the template of a Deployment's or a Job's pods."""
    mounts = (Mount(_TMP, scratch("tmp"), writable=True), *pods.mounts)
    main = core.ContainerArgs(
        name=pods.component,
        image=pods.image,
        image_pull_policy=pods.pull_policy,
        command=["python"],
        args=list(pods.command),
        ports=[core.ContainerPortArgs(name=name, container_port=port) for name, port in pods.ports.items()],
        env=variables(pods.environment, pods.secrets),
        resources=resources_of(pods.resources),
        security_context=container_security(),
        volume_mounts=[mounted(each) for each in mounts if not each.init],
        liveness_probe=pods.probes.get("liveness"),
        readiness_probe=pods.probes.get("readiness"),
        startup_probe=pods.probes.get("startup"),
        lifecycle=_draining(pods.drain_seconds),
        termination_message_policy="FallbackToLogsOnError",
    )
    return core.PodTemplateSpecArgs(
        metadata=meta.ObjectMetaArgs(
            labels={**labels(pods.component), **pods.pod_labels}, annotations=dict(pods.annotations)
        ),
        spec=core.PodSpecArgs(
            service_account_name=pods.account,
            automount_service_account_token=pods.calls_kubernetes,
            enable_service_links=False,
            security_context=pod_security(),
            init_containers=list(pods.before),
            containers=[main],
            volumes=[each.volume for each in mounts],
            restart_policy=pods.restart,
            priority_class_name=pods.priority or None,
            termination_grace_period_seconds=pods.grace_seconds,
            topology_spread_constraints=_spread(pods) if pods.restart == "Always" else [],
            **_placed(pods.nodes),
        ),
    )


def _draining(seconds: int) -> core.LifecycleArgs | None:
    if not seconds:
        return None
    return core.LifecycleArgs(pre_stop=core.LifecycleHandlerArgs(sleep=core.SleepActionArgs(seconds=seconds)))


def asking(path: str, port: str, *, scheme: str = "HTTP", ready: str = "") -> dict[str, core.ProbeArgs]:
    """Return probes that ask over HTTP: a process that is stuck does not answer, though its port still takes calls.

    `ready` is the path for readiness, if that is another question. A process has two minutes to begin, and is started
    anew when it has not answered for one.
    """
    alive = core.HTTPGetActionArgs(path=path, port=port, scheme=scheme)
    able = core.HTTPGetActionArgs(path=ready or path, port=port, scheme=scheme)
    return {
        "startup": core.ProbeArgs(http_get=alive, period_seconds=2, failure_threshold=60, timeout_seconds=5),
        "readiness": core.ProbeArgs(http_get=able, period_seconds=5, failure_threshold=3, timeout_seconds=5),
        "liveness": core.ProbeArgs(http_get=alive, period_seconds=10, failure_threshold=6, timeout_seconds=5),
    }


def mounted(mount: Mount) -> core.VolumeMountArgs:
    """Return how a container has a volume."""
    return core.VolumeMountArgs(name=str(mount.volume.name), mount_path=mount.path, read_only=not mount.writable)


def scratch(name: str, size: str = "256Mi", medium: str = "") -> core.VolumeArgs:
    """Return an empty volume that goes with the pod; the medium `Memory` never reaches a disk."""
    return core.VolumeArgs(name=name, empty_dir=core.EmptyDirVolumeSourceArgs(size_limit=size, medium=medium or None))


def secret_volume(name: str, secret: str, *, optional: bool = False) -> core.VolumeArgs:
    """Return a Secret as files that the pod's group may read."""
    return core.VolumeArgs(
        name=name, secret=core.SecretVolumeSourceArgs(secret_name=secret, default_mode=0o440, optional=optional)
    )


def config_volume(name: str, config: Input[str]) -> core.VolumeArgs:
    """Return a ConfigMap as files."""
    return core.VolumeArgs(name=name, config_map=core.ConfigMapVolumeSourceArgs(name=config, default_mode=0o444))


def _spread(pods: Pods) -> list[core.TopologySpreadConstraintArgs]:
    """Spread over zones and nodes as far as these go: a pod that finds no better place still runs."""
    return [
        core.TopologySpreadConstraintArgs(
            max_skew=1,
            topology_key=key,
            when_unsatisfiable="ScheduleAnyway",
            label_selector=meta.LabelSelectorArgs(match_labels=selector(pods.component)),
            match_label_keys=["pod-template-hash"],
        )
        for key in (pods.zone_label, "kubernetes.io/hostname")
    ]


def _placed(nodes: NodeGroup) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if nodes.selector:
        found["node_selector"] = dict(nodes.selector)
    if nodes.tolerations:
        found["tolerations"] = [core.TolerationArgs(**each) for each in nodes.tolerations]
    return found
