"""The foundation on AWS: what the base stack makes, or what it has made, in the shape that the platform knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from flyteform_aws.buckets import make_buckets
from flyteform_aws.cluster import install_basics, make_cluster
from flyteform_aws.context import Context
from flyteform_aws.databases import NAMES, PORT, USER, make_databases
from flyteform_aws.edge import balancer_annotations, make_certificate
from flyteform_aws.identities import Stores, make_identities
from flyteform_aws.keys import make_keys
from flyteform_aws.monitoring import make_metrics
from flyteform_aws.network import make_network, plan, require_zones
from flyteform_aws.nodes import POOL, gpu_nodes, make_nodes, spot_nodes
from flyteform_aws.operations import make_alarms, make_backups, make_costs
from flyteform_aws.proxy import make_proxies
from flyteform_aws.registry import make_registries
from flyteform_aws.secrets import PATH, make_secrets
from flyteform_platform.dataplane.projects import project_scopes
from flyteform_platform.foundation import (
    Agent,
    Bucket,
    Cluster,
    ClusterProfile,
    Database,
    Edge,
    Foundation,
    Identities,
    Identity,
    LogLink,
    Metrics,
    NodeGroup,
    Password,
    RemoteSecret,
)
from flyteform_platform.issuers import issuer_keys

if TYPE_CHECKING:
    from flyteform_aws.config import AwsConfig

_GATEWAY_CLASS = "envoy"
# The agent of EKS Pod Identity.
_POD_IDENTITY = Agent("169.254.170.23/32")
_LOGS = (
    "https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logsV2:log-groups/log-group/"
    "$252Faws$252Fcontainerinsights$252F{cluster}$252Fapplication/log-events$3FfilterPattern$3D"
)


@dataclass(frozen=True, slots=True)
class Base:
    """What the base stack has made: the foundation, the network's id, and what pods have to wait for."""

    foundation: Foundation
    vpc: pulumi.Input[str]
    after: tuple[pulumi.Resource, ...] = ()


@dataclass(frozen=True, slots=True)
class _Made:
    """The values of a foundation that AWS decides on; all empty for a skeleton."""

    kubeconfig: pulumi.Input[str] = ""
    issuer: pulumi.Input[str] = ""
    jwks: pulumi.Input[str] = ""
    metadata: pulumi.Input[str] = ""
    raw: pulumi.Input[str] = ""
    hosts: tuple[pulumi.Input[str], ...] = ("", "")
    secrets: tuple[pulumi.Input[str], ...] = ("", "")
    certificate: pulumi.Input[str] = ""
    metrics: pulumi.Input[str] = ""


def make_base(config: AwsConfig) -> Base:
    """Make everything below Kubernetes, and the cluster."""
    context = Context.of(config)
    require_zones(context)
    keys = make_keys(context)
    network = make_network(context)
    buckets = make_buckets(context, keys)
    cluster = make_cluster(context, network, keys)
    nodes = make_nodes(context, network, cluster)
    install_basics(context, cluster, nodes)
    databases = make_databases(context, network, cluster, keys)
    hosts = {name: each.instance.address for name, each in databases.instances.items()}
    if config.aws.database_proxy:
        hosts = make_proxies(context, network, cluster, databases, keys)
    workspace, metrics = make_metrics(context, keys) if config.aws.managed_monitoring else (None, None)
    secrets = make_secrets(context, keys)
    make_identities(context, cluster, Stores(buckets, databases.instances, keys, secrets, workspace))
    make_registries(context, keys)
    make_alarms(context, databases.instances)
    if config.aws.backups:
        make_backups(context, buckets, databases.instances, keys)
    make_costs(context)
    made = _Made(
        kubeconfig=cluster.kubeconfig,
        issuer=cluster.issuer,
        jwks=issuer_keys(cluster.issuer),
        metadata=buckets.metadata.bucket,
        raw=buckets.raw.bucket,
        hosts=tuple(hosts[name] for name in NAMES),
        secrets=tuple(databases.instances[name].secret for name in NAMES),
        certificate=make_certificate(context),
        metrics=metrics.url if metrics else "",
    )
    return Base(_foundation(config, made), network.vpc.id, tuple(nodes))


def skeleton(config: AwsConfig) -> Foundation:
    """Return the structure of the foundation that another stack has made."""
    return _foundation(config, _Made())


def _foundation(config: AwsConfig, made: _Made) -> Foundation:
    region = config.aws.region
    admin, catalog = (_database(config, made, index) for index in range(len(NAMES)))
    return Foundation(
        name=config.name,
        environment=str(config.preset),
        cluster=Cluster(config.data_plane.name, kubeconfig=made.kubeconfig, issuer=made.issuer, jwks=made.jwks),
        metadata=_bucket(made.metadata, region),
        raw=_bucket(made.raw, region),
        admin=admin,
        catalog=catalog,
        # EKS Pod Identity binds service accounts to roles by itself: nothing has to be annotated.
        identities=Identities(workloads={scope.key: Identity() for _, scope in project_scopes(config)}),
        edge=Edge(
            domain=config.edge.domain,
            gateway_class=_GATEWAY_CLASS,
            service_annotations=balancer_annotations(config, made.certificate),
            balancer_ends_tls=True,
            sources=config.network.sources,
        ),
        profile=_profile(config),
        metrics=Metrics(made.metrics, region) if config.aws.managed_monitoring else None,
        tags=config.tags,
    )


def _bucket(name: pulumi.Input[str], region: str) -> Bucket:
    return Bucket(pulumi.Output.concat("s3://", name), region, environment={"AWS_REGION": region})


def _database(config: AwsConfig, made: _Made, index: int) -> Database:
    name = NAMES[index]
    # Proxies have certificates of public authorities, databases those of the region's own.
    own = "" if config.aws.database_proxy else config.aws.database_certificates
    return Database(
        host=made.hosts[index],
        name=name,
        user=USER,
        port=PORT,
        login=Password(f"{name}-database", remote=RemoteSecret(made.secrets[index], "password")),
        sslmode="verify-full" if own or config.aws.database_proxy else "require",
        ca=own,
    )


def _profile(config: AwsConfig) -> ClusterProfile:
    cidrs = plan(config.network.cidr, config.network.zones)
    uri = _LOGS.format(region=config.aws.region, cluster=config.name) + "{{ .podName }}"
    return ClusterProfile(
        system=NodeGroup({POOL: "system"}),
        workers=NodeGroup({POOL: "workers"}) if any(not pool.system for pool in config.node_pools) else NodeGroup(),
        spot=spot_nodes() if any(pool.spot for pool in config.node_pools) else NodeGroup(),
        gpu=gpu_nodes(),
        gpu_devices={pool.gpu_type: pool.gpu_type for pool in config.node_pools if pool.gpu_type},
        log_links=(LogLink("CloudWatch", uri),),
        database_cidrs=cidrs.data,
        agents=(_POD_IDENTITY,),
        secret_path=PATH,
    )
