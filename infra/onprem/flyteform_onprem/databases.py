"""Databases: on a server that is there already, or in the cluster by CloudNativePG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pulumi_kubernetes.apiextensions import CustomResource

import pulumi
from flyteform_onprem.objects import store_of
from flyteform_platform.config import secret
from flyteform_platform.controlplane.names import OBJECTS_SECRET
from flyteform_platform.foundation import Database, Password
from flyteform_platform.parts.deployments import metadata
from flyteform_platform.parts.labels import selector
from flyteform_platform.parts.networks import Allowed, allow

if TYPE_CHECKING:
    from flyteform_onprem.config import ClusterPostgres, ExternalPostgres, OnPremConfig

NAME: Final = "flyteform-db"
_POOLER: Final = f"{NAME}-pooler"
COMPONENT: Final = "database"
_PORT: Final = 5432
_STATUS_PORT: Final = 8000  # where its operator asks how it is
_API: Final = "postgresql.cnpg.io/v1"
_CATALOG: Final = "flyteform-catalog-database"


def databases(config: OnPremConfig) -> tuple[Database, Database]:
    """Return the databases of admin and of the catalog."""
    postgres = config.onprem.postgres
    return _external(postgres.external) if postgres.external else _cluster(config)


def _external(postgres: ExternalPostgres) -> tuple[Database, Database]:
    def one(which: str) -> Database:
        given = getattr(postgres, which)
        login = Password(f"flyteform-{which}-database", value=secret(f"{which}Password"))
        return Database(given.host, given.name, given.user, login, given.port, postgres.sslmode, postgres.ca)

    return one("admin"), one("catalog")


def _cluster(config: OnPremConfig) -> tuple[Database, Database]:
    pooled = config.onprem.postgres.cluster is not None and config.onprem.postgres.cluster.poolers
    host = f"{_POOLER if pooled else f'{NAME}-rw'}.{config.control_plane.namespace}.svc"
    # A pooler has the certificate of what is behind it, which does not say its name.
    mode = "verify-ca" if pooled else "verify-full"
    # CloudNativePG makes the Secrets of the cluster's first user and of its authority.
    admin = Database(host, "admin", "admin", Password(f"{NAME}-app"), sslmode=mode, ca_secret=f"{NAME}-ca")
    catalog = Database(host, "catalog", "catalog", Password(_CATALOG), sslmode=mode, ca_secret=f"{NAME}-ca")
    return admin, catalog


def make_cluster(config: OnPremConfig, postgres: ClusterPostgres, opts: pulumi.ResourceOptions) -> CustomResource:
    """Make the cluster of PostgreSQL in the control plane's namespace, with a user for each database."""
    namespace = config.control_plane.namespace
    _catalog_password(namespace, opts)
    ports = (_PORT, _STATUS_PORT)
    own = Allowed(ports, namespace)
    services = Allowed(config.onprem.service_ports, cidrs=config.onprem.service_cidrs)
    store = store_of(config)
    backups = Allowed((store.port,), store.namespace, cidrs=() if store.namespace else config.onprem.service_cidrs)
    called = [own, services, *([backups] if postgres.backups else [])]
    allow(namespace, COMPONENT, opts, ingress=[own, Allowed(ports, "cnpg-system")], egress=called)
    protected = pulumi.ResourceOptions(protect=config.database.deletion_protection)
    cluster = _custom(
        "Cluster", NAME, namespace, _spec(config, postgres), pulumi.ResourceOptions.merge(opts, protected)
    )
    after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[cluster]))
    protected_after = pulumi.ResourceOptions.merge(after, protected)
    owner = {"name": "catalog", "owner": "catalog", "cluster": {"name": NAME}, "databaseReclaimPolicy": "retain"}
    _custom("Database", "flyteform-catalog", namespace, owner, after)
    if postgres.poolers:
        _custom("Pooler", _POOLER, namespace, _pooler(postgres), after)
    if postgres.backups:
        stored = _backup_store(config, postgres.backups)
        _custom("ObjectStore", NAME, namespace, stored, protected_after, version="barmancloud.cnpg.io/v1")
        schedule = {"schedule": "0 0 3 * * *", "cluster": {"name": NAME}, "backupOwnerReference": "self"}
        plugin = {"method": "plugin", "pluginConfiguration": {"name": "barman-cloud.cloudnative-pg.io"}}
        _custom("ScheduledBackup", NAME, namespace, {**schedule, **plugin}, after)
    return cluster


def _pooler(postgres: ClusterPostgres) -> dict[str, Any]:
    """Return poolers that give a connection for a session: listeners and locks are a session's."""
    container = {"name": "pgbouncer", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}
    return {
        "cluster": {"name": NAME},
        "type": "rw",
        "instances": postgres.poolers,
        "pgbouncer": {"poolMode": "session", "parameters": {"max_client_conn": "1000", "default_pool_size": "50"}},
        "template": {"metadata": {"labels": selector(COMPONENT)}, "spec": {"containers": [container]}},
    }


def _backup_store(config: OnPremConfig, bucket: str) -> dict[str, Any]:
    """Return where backups go: a bucket of the same S3 service, with the control plane's keys."""
    where = {"destinationPath": f"s3://{bucket}/", "endpointURL": store_of(config).endpoint}
    keys = {"accessKeyId": "AWS_ACCESS_KEY_ID", "secretAccessKey": "AWS_SECRET_ACCESS_KEY"}
    return {
        "retentionPolicy": f"{config.database.backup_days}d",
        "configuration": {
            **where,
            "s3Credentials": {field: {"name": OBJECTS_SECRET, "key": key} for field, key in keys.items()},
            "wal": {"compression": "gzip"},
        },
    }


def _spec(config: OnPremConfig, postgres: ClusterPostgres) -> dict[str, Any]:
    storage: dict[str, Any] = {"size": postgres.storage}
    if postgres.storage_class or config.onprem.storage_class:
        storage["storageClass"] = postgres.storage_class or config.onprem.storage_class
    role = {"name": "catalog", "ensure": "present", "login": True, "passwordSecret": {"name": _CATALOG}}
    spec: dict[str, Any] = {
        "instances": postgres.instances,
        "imageName": postgres.image,
        "storage": storage,
        "bootstrap": {"initdb": {"database": "admin", "owner": "admin", "dataChecksums": True}},
        "managed": {"roles": [role]},
        "enableSuperuserAccess": False,
        # By these labels policies know its pods.
        "inheritedMetadata": {"labels": selector(COMPONENT)},
        "primaryUpdateStrategy": "unsupervised",
        "monitoring": {"enablePodMonitor": config.addons.has_monitoring},
        "affinity": {"topologyKey": "kubernetes.io/hostname", "podAntiAffinityType": "preferred"},
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
    }
    if postgres.instances > 1:
        # A commit is on two machines before it is acknowledged.
        spec["postgresql"] = {"synchronous": {"method": "any", "number": 1, "dataDurability": "required"}}
    if postgres.backups:
        parameters = {"barmanObjectName": NAME}
        plugin = {"name": "barman-cloud.cloudnative-pg.io", "isWALArchiver": True, "parameters": parameters}
        spec["plugins"] = [plugin]
    return spec


def _catalog_password(namespace: str, opts: pulumi.ResourceOptions) -> None:
    """Have external-secrets make a password in the cluster: nobody outside ever holds it."""
    generator = {"apiVersion": "generators.external-secrets.io/v1alpha1", "kind": "Password", "name": _CATALOG}
    length = {"length": 40, "symbols": 0, "noUpper": False, "allowRepeat": True}
    made = CustomResource(
        f"{_CATALOG}-generator",
        api_version=generator["apiVersion"],
        kind="Password",
        metadata=metadata(_CATALOG, namespace, COMPONENT),
        spec=length,
        opts=opts,
    )
    template = {"type": "kubernetes.io/basic-auth", "data": {"username": "catalog", "password": "{{ .password }}"}}
    CustomResource(
        f"{_CATALOG}-externalsecret",
        api_version="external-secrets.io/v1",
        kind="ExternalSecret",
        metadata=metadata(_CATALOG, namespace, COMPONENT),
        spec={
            # Once: a new password would lock the catalog out until the role has it too.
            "refreshInterval": "0",
            "target": {"name": _CATALOG, "template": template},
            "dataFrom": [{"sourceRef": {"generatorRef": generator}}],
        },
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[made])),
    )


def _custom(
    kind: str, name: str, namespace: str, spec: dict[str, Any], opts: pulumi.ResourceOptions, *, version: str = _API
) -> CustomResource:
    return CustomResource(
        f"{name}-{kind.lower()}",
        api_version=version,
        kind=kind,
        metadata=metadata(name, namespace, COMPONENT),
        spec=spec,
        opts=opts,
    )
