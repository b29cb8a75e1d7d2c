"""The foundation on Azure: what the base stack makes, or has made, in the shape that the platform knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
from flyteform_azure.cluster import GPU, GPU_LABEL, POOL, SPOT, make_cluster
from flyteform_azure.context import Context
from flyteform_azure.databases import NAMES, make_databases
from flyteform_azure.edge import ISSUER, make_entrance
from flyteform_azure.identities import make_identities
from flyteform_azure.keys import make_keys
from flyteform_azure.network import make_network, plan
from flyteform_azure.operations import make_budget, make_logs, make_registry, watch
from flyteform_azure.preflight import require_quotas
from flyteform_azure.secrets import PATH
from flyteform_azure.storage import make_storage
from flyteform_platform.dataplane.projects import project_scopes
from flyteform_platform.foundation import (
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
    from collections.abc import Mapping

    from flyteform_azure.config import AzureConfig

_CLIENT = "azure.workload.identity/client-id"
_USE = {"azure.workload.identity/use": "true"}
_BALANCER = "service.beta.kubernetes.io/azure"
_LOGIN = (
    'az login --service-principal --username "$AZURE_CLIENT_ID" --tenant "$AZURE_TENANT_ID" --output none '
    '--allow-no-subscriptions --federated-token "$(cat "$AZURE_FEDERATED_TOKEN_FILE")" && '
    "az account get-access-token --resource-type oss-rdbms --query accessToken --output tsv"
)
_LOGS = "https://portal.azure.com/#@{tenant}/resource{cluster}/logs"


@dataclass(frozen=True, slots=True)
class Base:
    """What the base stack has made: the foundation, and what pods have to wait for."""

    foundation: Foundation
    after: tuple[pulumi.Resource, ...] = ()


@dataclass(frozen=True, slots=True)
class _Made:
    """The values of a foundation that Azure decides on; all empty for a skeleton."""

    kubeconfig: pulumi.Input[str] = ""
    issuer: pulumi.Input[str] = ""
    jwks: pulumi.Input[str] = ""
    account: pulumi.Input[str] = ""
    hosts: tuple[pulumi.Input[str], ...] = ("", "")
    logins: tuple[pulumi.Input[str], ...] = ("", "")
    control_plane: pulumi.Input[str] = ""
    data_plane: pulumi.Input[str] = ""
    cert_manager: pulumi.Input[str] = ""
    external_secrets: pulumi.Input[str] = ""
    workloads: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


def make_base(config: AzureConfig) -> Base:
    """Make everything below Kubernetes, and the cluster."""
    context = Context.of(config)
    require_quotas(context)
    network = make_network(context)
    keys = make_keys(context, network)
    storage = make_storage(context, network, keys)
    logs, entrance = make_logs(context), make_entrance(context)
    cluster = make_cluster(context, network, keys, logs.id, entrance)
    databases = make_databases(context, network, cluster, keys)
    clients = make_identities(context, cluster, storage, keys)
    make_registry(context, network, cluster)
    watch(context, cluster, databases, logs)
    make_budget(context)
    made = _Made(
        kubeconfig=cluster.kubeconfig,
        issuer=cluster.issuer,
        jwks=issuer_keys(cluster.issuer),
        account=storage.account.name,
        hosts=tuple(databases[name].server.fully_qualified_domain_name for name in NAMES),
        logins=tuple(databases[name].identity.client_id for name in NAMES),
        control_plane=clients.control_plane,
        data_plane=clients.data_plane,
        cert_manager=clients.cert_manager or "",
        external_secrets=clients.external_secrets or "",
        workloads=clients.workloads,
    )
    return Base(_foundation(config, made), cluster.pools)


def skeleton(config: AzureConfig) -> Foundation:
    """Return the structure of the foundation that another stack has made."""
    return _foundation(config, _Made())


def _foundation(config: AzureConfig, made: _Made) -> Foundation:
    admin, catalog = (_database(config, made, index) for index in range(len(NAMES)))
    scopes = [scope.key for _, scope in project_scopes(config)]
    return Foundation(
        name=config.name,
        environment=str(config.preset),
        cluster=Cluster(config.data_plane.name, kubeconfig=made.kubeconfig, issuer=made.issuer, jwks=made.jwks),
        metadata=_container(config, made, "metadata"),
        raw=_container(config, made, "raw"),
        admin=admin,
        catalog=catalog,
        identities=Identities(
            control_plane=_identity(made.control_plane),
            data_plane=_identity(made.data_plane),
            cert_manager=_identity(made.cert_manager) if config.issues_certificates else Identity(),
            external_secrets=_identity(made.external_secrets) if config.keeps_secrets else Identity(),
            workloads={key: _identity(made.workloads.get(key, "")) for key in scopes},
        ),
        edge=_edge(config),
        profile=_profile(config),
        tags=config.tags,
    )


def _identity(client: pulumi.Input[str]) -> Identity:
    return Identity(annotations={_CLIENT: client}, pod_labels=_USE)


def _container(config: AzureConfig, made: _Made, name: str) -> Bucket:
    uri = pulumi.Output.concat("abfs://", name, "@", made.account, ".dfs.core.windows.net")
    return Bucket(uri, config.azure.location, environment={"AZURE_STORAGE_ACCOUNT_NAME": made.account})


def _database(config: AzureConfig, made: _Made, index: int) -> Database:
    name = NAMES[index]
    who = {"AZURE_CLIENT_ID": made.logins[index]}
    return Database(
        host=made.hosts[index],
        name=name,
        user=f"{config.name}-{name}-database",
        login=Token(config.azure.token_image, ("/bin/sh", "-c", _LOGIN), environment=who),
    )


def _edge(config: AzureConfig) -> Edge:
    return Edge(
        domain=config.edge.domain,
        gateway_class="envoy",
        issuer=ISSUER if config.issues_certificates else "",
        certificate_secret=config.edge.certificate_secret,
        service_annotations={
            f"{_BALANCER}-load-balancer-resource-group": config.group,
            f"{_BALANCER}-pip-name": f"{config.name}-edge",
        },
        sources=config.network.sources,
    )


def _profile(config: AzureConfig) -> ClusterProfile:
    cidrs = plan(config.network.cidr)
    cluster = config.scope("Microsoft.ContainerService", "managedClusters", config.name)
    spot = NodeGroup({SPOT: "spot"}, ({"key": SPOT, "operator": "Equal", "value": "spot", "effect": "NoSchedule"},))
    return ClusterProfile(
        system=NodeGroup({POOL: "system"}),
        workers=NodeGroup({POOL: "workers"}) if any(not pool.system for pool in config.node_pools) else NodeGroup(),
        spot=spot if any(pool.spot for pool in config.node_pools) else NodeGroup(),
        gpu=NodeGroup({}, ({"key": GPU, "operator": "Exists", "effect": "NoSchedule"},)),
        gpu_label=GPU_LABEL,
        gpu_devices={pool.gpu_type: pool.gpu_type for pool in config.node_pools if pool.gpu_type},
        storage_class="managed-csi",
        log_links=(LogLink("Azure Monitor", _LOGS.format(tenant=config.azure.tenant, cluster=cluster)),),
        database_cidrs=(cidrs.databases,),
        secret_path=PATH,
    )
