"""S3 in the cluster by Ceph, that Rook operates: for sites with three nodes or more that have disks to give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta
from pulumi_kubernetes.storage import v1 as storage

import pulumi
from flyteform_platform.addons.charts import ROOK
from flyteform_platform.config import secret
from flyteform_platform.parts.deployments import metadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi_kubernetes as kubernetes

    from flyteform_onprem.config import OnPremConfig, Rook

NAMESPACE: Final = ROOK.namespace
# Ports below 1024 would be others in pods than at services, and policies are about pods.
PORT: Final = 8080
STORE: Final = "flyteform"
ENDPOINT: Final = f"http://rook-ceph-rgw-{STORE}.{NAMESPACE}.svc.cluster.local:{PORT}"
_USER: Final = "flyteform"
_CLASS: Final = "flyteform-buckets"
_COPIES: Final = 3
_API: Final = "ceph.rook.io/v1"
_KEYS: Final = {"AccessKey": "s3AccessKeyId", "SecretKey": "s3SecretAccessKey"}


def make_ceph(
    config: OnPremConfig,
    rook: Rook,
    buckets: Sequence[str],
    provider: kubernetes.Provider,
    after: Sequence[pulumi.Resource],
) -> list[pulumi.Resource]:
    """Make the cluster of Ceph, its S3 service, a user with the stack's keys, and the buckets; return what is last."""
    protect = config.storage.deletion_protection
    opts = pulumi.ResourceOptions(provider=provider, depends_on=list(after))
    kept = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=protect))
    cluster = _custom("CephCluster", NAMESPACE, _cluster(config, rook), kept)
    store = _custom("CephObjectStore", STORE, _store(rook), _after(kept, cluster))
    user = _user(_after(opts, store))
    return [_bucket(name, _after(kept, user)) for name in buckets] if buckets else [user]


def _cluster(config: OnPremConfig, rook: Rook) -> dict[str, Any]:
    named = rook.storage_class or config.onprem.storage_class

    def claim(size: str, mode: str) -> dict[str, Any]:
        return {
            "metadata": {"name": "data"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "volumeMode": mode,
                "resources": {"requests": {"storage": size}},
                **({"storageClassName": named} if named else {}),
            },
        }

    disks = {
        "name": "disks",
        "count": rook.disks,
        "portable": True,
        "volumeClaimTemplates": [claim(rook.storage, "Block")],
    }
    return {
        "cephVersion": {"image": rook.image},
        "dataDirHostPath": "/var/lib/rook",
        "mon": {"count": _COPIES, "volumeClaimTemplate": claim("10Gi", "Filesystem")},
        "mgr": {"count": 2},
        "dashboard": {"enabled": False},
        "monitoring": {"enabled": config.addons.has_monitoring},
        "storage": {"storageClassDeviceSets": [disks]},
        "disruptionManagement": {"managePodBudgets": True},
    }


def _store(rook: Rook) -> dict[str, Any]:
    pool = {"failureDomain": "host", "replicated": {"size": _COPIES}}
    return {
        "metadataPool": pool,
        "dataPool": pool,
        # The objects outlive the service.
        "preservePoolsOnDelete": True,
        "gateway": {"port": PORT, "instances": rook.gateways},
    }


def _user(opts: pulumi.ResourceOptions) -> CustomResource:
    """Make the user with the keys that the stack's secrets say: Rook takes them from a Secret of this name."""
    name = f"rook-ceph-object-user-{STORE}-{_USER}"
    keys = core.Secret(
        name,
        metadata=meta.ObjectMetaArgs(name=name, namespace=NAMESPACE, annotations={"rook.io/source-of-truth": "secret"}),
        type="kubernetes.io/rook",
        string_data={key: secret(field) for key, field in _KEYS.items()},
        opts=opts,
    )
    storage.StorageClass(
        _CLASS,
        metadata=meta.ObjectMetaArgs(name=_CLASS),
        provisioner=f"{NAMESPACE}.ceph.rook.io/bucket",
        reclaim_policy="Retain",
        parameters={"objectStoreName": STORE, "objectStoreNamespace": NAMESPACE},
        opts=opts,
    )
    return _custom("CephObjectStoreUser", _USER, {"store": STORE, "displayName": "flyteform"}, _after(opts, keys))


def _bucket(name: str, opts: pulumi.ResourceOptions) -> CustomResource:
    spec = {"bucketName": name, "storageClassName": _CLASS, "additionalConfig": {"bucketOwner": _USER}}
    return _custom("ObjectBucketClaim", name, spec, opts, version="objectbucket.io/v1alpha1")


def _custom(
    kind: str, name: str, spec: dict[str, Any], opts: pulumi.ResourceOptions, *, version: str = _API
) -> CustomResource:
    return CustomResource(
        f"{name}-{kind.lower()}",
        api_version=version,
        kind=kind,
        metadata=metadata(name, NAMESPACE, "objects"),
        spec=spec,
        opts=opts,
    )


def _after(opts: pulumi.ResourceOptions, *resources: pulumi.Resource) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(resources)))
