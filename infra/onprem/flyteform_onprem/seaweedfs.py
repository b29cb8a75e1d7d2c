"""S3 in the cluster by SeaweedFS: one server with one disk, for sites that have no object store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.batch import v1 as batch
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

import pulumi
from flyteform_platform.config import secret
from flyteform_platform.controlplane.names import COMPONENT as CONTROL_PLANE
from flyteform_platform.dataplane.names import COMPONENT as DATA_PLANE
from flyteform_platform.dataplane.projects import project_scopes
from flyteform_platform.parts.deployments import metadata
from flyteform_platform.parts.labels import labels, namespace_labels, selector
from flyteform_platform.parts.networks import Allowed, allow, deny_all
from flyteform_platform.parts.pods import container_security, pod_security

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi_kubernetes as kubernetes

    from flyteform_onprem.config import OnPremConfig, SeaweedFS

NAMESPACE: Final = "flyteform-objects"
PORT: Final = 8333
ENDPOINT: Final = f"http://seaweedfs.{NAMESPACE}.svc.cluster.local:{PORT}"
BUCKETS: Final = ("flyteform-metadata", "flyteform-raw")
KEYS: Final = {"AWS_ACCESS_KEY_ID": "s3AccessKeyId", "AWS_SECRET_ACCESS_KEY": "s3SecretAccessKey"}
_NAME: Final = "seaweedfs"
_MASTER: Final = 9333


def make_store(
    config: OnPremConfig, store: SeaweedFS, buckets: Sequence[str], provider: kubernetes.Provider
) -> pulumi.Resource:
    """Make the server and its buckets; return what comes last."""
    opts = pulumi.ResourceOptions(provider=provider)
    about = meta.ObjectMetaArgs(name=NAMESPACE, labels=namespace_labels())
    namespace = core.Namespace(NAMESPACE, metadata=about, opts=opts)
    inside = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[namespace]))
    keys = core.Secret(
        _NAME,
        metadata=metadata(_NAME, NAMESPACE, _NAME),
        string_data={name: secret(key) for name, key in KEYS.items()},
        opts=inside,
    )
    _policies(config, inside)
    _service(inside)
    server = _server(config, store, pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=[keys])))
    return _buckets(store, buckets, pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=[server])))


def _server(config: OnPremConfig, store: SeaweedFS, opts: pulumi.ResourceOptions) -> apps.StatefulSet:
    probe = core.ProbeArgs(tcp_socket=core.TCPSocketActionArgs(port="s3"), period_seconds=5, failure_threshold=60)
    server = core.ContainerArgs(
        name=_NAME,
        image=store.image,
        image_pull_policy="IfNotPresent",
        command=["weed"],
        args=["mini", "-dir=/data", "-ip.bind=0.0.0.0", f"-s3.port={PORT}", f"-master.port={_MASTER}"],
        security_context=container_security(),
        resources=core.ResourceRequirementsArgs(requests={"cpu": "250m", "memory": "1Gi"}, limits={"memory": "1Gi"}),
        env_from=[core.EnvFromSourceArgs(secret_ref=core.SecretEnvSourceArgs(name=_NAME))],
        ports=[core.ContainerPortArgs(name="s3", container_port=PORT)],
        startup_probe=probe,
        readiness_probe=core.ProbeArgs(tcp_socket=core.TCPSocketActionArgs(port="s3"), period_seconds=5),
        liveness_probe=core.ProbeArgs(tcp_socket=core.TCPSocketActionArgs(port="s3"), period_seconds=10),
        volume_mounts=[
            core.VolumeMountArgs(name="data", mount_path="/data"),
            core.VolumeMountArgs(name="tmp", mount_path="/tmp"),  # noqa: S108 - the pod's own volume
        ],
    )
    claim = core.PersistentVolumeClaimArgs(
        metadata=meta.ObjectMetaArgs(name="data"),
        spec=core.PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            storage_class_name=store.storage_class or config.onprem.storage_class or None,
            resources=core.VolumeResourceRequirementsArgs(requests={"storage": store.storage}),
        ),
    )
    return apps.StatefulSet(
        _NAME,
        metadata=metadata(_NAME, NAMESPACE, _NAME),
        spec=apps.StatefulSetSpecArgs(
            service_name=_NAME,
            replicas=1,
            selector=meta.LabelSelectorArgs(match_labels=selector(_NAME)),
            template=core.PodTemplateSpecArgs(
                metadata=meta.ObjectMetaArgs(labels=labels(_NAME)), spec=_pod([server], "Always")
            ),
            volume_claim_templates=[claim],
            # The disk outlives the set: what lies on it is the platform's memory.
            persistent_volume_claim_retention_policy=apps.StatefulSetPersistentVolumeClaimRetentionPolicyArgs(
                when_deleted="Retain", when_scaled="Retain"
            ),
        ),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=config.storage.deletion_protection)),
    )


def _buckets(store: SeaweedFS, buckets: Sequence[str], opts: pulumi.ResourceOptions) -> batch.Job:
    words = "; ".join(f"s3.bucket.create -name {each}" for each in buckets)
    shell = core.ContainerArgs(
        name="buckets",
        image=store.image,
        command=["/bin/sh", "-c", f"echo '{words}' | weed shell -master={_NAME}.{NAMESPACE}:{_MASTER}"],
        security_context=container_security(),
        resources=core.ResourceRequirementsArgs(requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "256Mi"}),
        volume_mounts=[core.VolumeMountArgs(name="tmp", mount_path="/tmp")],  # noqa: S108 - the pod's own volume
    )
    return batch.Job(
        "seaweedfs-buckets",
        metadata=metadata("seaweedfs-buckets", NAMESPACE, _NAME),
        spec=batch.JobSpecArgs(
            backoff_limit=10,
            template=core.PodTemplateSpecArgs(
                metadata=meta.ObjectMetaArgs(labels=labels(_NAME)), spec=_pod([shell], "OnFailure")
            ),
        ),
        opts=opts,
    )


def _pod(containers: list[core.ContainerArgs], restart: str) -> core.PodSpecArgs:
    empty = core.EmptyDirVolumeSourceArgs(size_limit="1Gi")
    return core.PodSpecArgs(
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=pod_security(),
        containers=containers,
        restart_policy=restart,
        volumes=[core.VolumeArgs(name="tmp", empty_dir=empty)],
    )


def _service(opts: pulumi.ResourceOptions) -> None:
    ports = [core.ServicePortArgs(name=name, port=port) for name, port in (("s3", PORT), ("master", _MASTER))]
    spec = core.ServiceSpecArgs(selector=selector(_NAME), ports=ports)
    core.Service(_NAME, metadata=metadata(_NAME, NAMESPACE, _NAME), spec=spec, opts=opts)


def _policies(config: OnPremConfig, opts: pulumi.ResourceOptions) -> None:
    callers = [
        Allowed((PORT,), config.control_plane.namespace, CONTROL_PLANE),
        Allowed((PORT,), config.data_plane.namespace, DATA_PLANE),
        *(Allowed((PORT,), scope.namespace) for _, scope in project_scopes(config)),
    ]
    own = Allowed((), NAMESPACE)
    deny_all(NAMESPACE, opts)
    allow(NAMESPACE, _NAME, opts, ingress=[own, *callers], egress=[own])
