"""The foundation on Google Cloud: what the base stack makes, or has made, in the shape that the platform knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from flyteform_gcp.buckets import make_buckets
from flyteform_gcp.cluster import make_cluster
from flyteform_gcp.context import Context
from flyteform_gcp.databases import NAMES, make_databases
from flyteform_gcp.edge import CERTIFICATES, GATEWAY_CLASS, make_entrance
from flyteform_gcp.identities import grant_objects, make_accounts
from flyteform_gcp.keys import make_keys
from flyteform_gcp.network import BALANCERS, make_network, plan, require_zones
from flyteform_gcp.nodes import GPU_LABEL, POOL, gpu_nodes, make_nodes, spot_nodes
from flyteform_gcp.operations import make_alarms, make_backups, make_costs, make_registries
from flyteform_gcp.secrets import PATH, make_secrets
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
    NodeGroup,
    Token,
)
from flyteform_platform.issuers import issuer_keys

if TYPE_CHECKING:
    from flyteform_gcp.config import GcpConfig

# GKE's own metadata server, which knows the pod and not the node.
_METADATA = Agent("169.254.169.254/32")
_ACCOUNT = "iam.gke.io/gcp-service-account"
_LOGS = (
    "https://console.cloud.google.com/logs/query;query=resource.type%3D%22k8s_container%22%0A"
    "resource.labels.cluster_name%3D%22{cluster}%22%0Aresource.labels.namespace_name%3D%22{{{{ .namespace }}}}%22%0A"
    "resource.labels.pod_name%3D%22{{{{ .podName }}}}%22?project={project}"
)


@dataclass(frozen=True, slots=True)
class Base:
    """What the base stack has made: the foundation, and what pods have to wait for."""

    foundation: Foundation
    after: tuple[pulumi.Resource, ...] = ()


@dataclass(frozen=True, slots=True)
class _Made:
    """The values of a foundation that Google decides on; all empty for a skeleton."""

    kubeconfig: pulumi.Input[str] = ""
    jwks: pulumi.Input[str] = ""
    issuer: pulumi.Input[str] = ""
    metadata: pulumi.Input[str] = ""
    raw: pulumi.Input[str] = ""
    hosts: tuple[pulumi.Input[str], ...] = ("", "")
    authorities: tuple[pulumi.Input[str], ...] = ("", "")
    address: pulumi.Input[str] = ""
    certificates: pulumi.Input[str] = ""


def make_base(config: GcpConfig) -> Base:
    """Make everything below Kubernetes, and the cluster."""
    context = Context.of(config)
    require_zones(context)
    keys = make_keys(context)
    network = make_network(context)
    buckets = make_buckets(context, keys)
    cluster = make_cluster(context, network, keys)
    nodes = make_nodes(context, cluster)
    accounts = make_accounts(context)
    databases = make_databases(context, network, keys, accounts.control_plane)
    grant_objects(context, buckets, accounts)
    make_secrets(context, keys)
    entrance = make_entrance(context)
    make_registries(context, keys)
    make_alarms(context, databases)
    if config.gcp.backups:
        make_backups(context, cluster)
    make_costs(context)
    instances = [databases[name].instance for name in NAMES]
    # The issuer has no keys before there is a cluster.
    issuer = cluster.resource.id.apply(lambda _: cluster.issuer)
    made = _Made(
        kubeconfig=cluster.kubeconfig,
        jwks=issuer_keys(issuer),
        issuer=issuer,
        metadata=buckets.metadata.name,
        raw=buckets.raw.name,
        hosts=tuple(instance.private_ip_address for instance in instances),
        authorities=tuple(instance.server_ca_certs.apply(lambda found: str(found[0].cert)) for instance in instances),
        address=entrance.address,
        certificates=entrance.certificates,
    )
    return Base(_foundation(config, made), tuple(nodes))


def skeleton(config: GcpConfig) -> Foundation:
    """Return the structure of the foundation that another stack has made."""
    return _foundation(config, _Made())


def _foundation(config: GcpConfig, made: _Made) -> Foundation:
    admin, catalog = (_database(config, made, index) for index in range(len(NAMES)))
    return Foundation(
        name=config.name,
        environment=str(config.preset),
        cluster=Cluster(config.data_plane.name, kubeconfig=made.kubeconfig, issuer=made.issuer, jwks=made.jwks),
        metadata=Bucket(pulumi.Output.concat("gs://", made.metadata), config.gcp.region),
        raw=Bucket(pulumi.Output.concat("gs://", made.raw), config.gcp.region),
        admin=admin,
        catalog=catalog,
        identities=Identities(
            control_plane=Identity(annotations={_ACCOUNT: config.account_email("controlplane")}),
            data_plane=Identity(annotations={_ACCOUNT: config.account_email("dataplane")}),
            # Principals of Kubernetes are granted what they need by their names: nothing has to be annotated.
            workloads={scope.key: Identity() for _, scope in project_scopes(config)},
        ),
        edge=Edge(
            domain=config.edge.domain,
            gateway_class=GATEWAY_CLASS,
            gateway_annotations={CERTIFICATES: made.certificates},
            address=made.address,
            address_type="NamedAddress",
            sources=config.network.sources,
            gateway_cidrs=BALANCERS,
        ),
        profile=_profile(config),
        tags=config.tags,
    )


def _database(config: GcpConfig, made: _Made, index: int) -> Database:
    name = NAMES[index]
    account = config.account_email(name)
    command = ("gcloud", "sql", "generate-login-token", f"--impersonate-service-account={account}")
    return Database(
        host=made.hosts[index],
        name=name,
        user=account.removesuffix(".gserviceaccount.com"),
        login=Token(config.gcp.token_image, command),
        # The server's own authority is pinned; its name in the certificate is not its address.
        sslmode="verify-ca",
        ca=made.authorities[index],
    )


def _profile(config: GcpConfig) -> ClusterProfile:
    cidrs = plan(config.network.cidr)
    uri = _LOGS.format(cluster=config.name, project=config.gcp.project)
    return ClusterProfile(
        system=NodeGroup({POOL: "system"}),
        workers=NodeGroup({POOL: "workers"}) if any(not pool.system for pool in config.node_pools) else NodeGroup(),
        spot=spot_nodes() if any(pool.spot for pool in config.node_pools) else NodeGroup(),
        gpu=gpu_nodes(),
        gpu_label=GPU_LABEL,
        gpu_devices={pool.gpu_type: pool.gpu_type for pool in config.node_pools if pool.gpu_type},
        log_links=(LogLink("Cloud Logging", uri),),
        database_cidrs=(cidrs.databases,),
        agents=(_METADATA,),
        secret_path=PATH,
    )
