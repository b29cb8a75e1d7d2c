"""The Kubernetes cluster: without local accounts, its API server in the network, its identities in Entra."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_azure_native import containerservice, network

import pulumi
from flyteform_azure.context import CLUSTER_ADMIN, CLUSTER_USER, KEY_USER, NETWORK_CONTRIBUTOR, VAULT_CONTRIBUTOR
from flyteform_azure.keys import make_identity

if TYPE_CHECKING:
    from flyteform_azure.context import Context
    from flyteform_azure.keys import Keys
    from flyteform_azure.network import Network
    from flyteform_platform.config import NodePool

POOL = "flyteform.org/pool"
# This one is AKS's own: it labels and taints spot nodes by it.
SPOT = "kubernetes.azure.com/scalesetpriority"
GPU = "nvidia.com/gpu"
GPU_LABEL = "flyteform.org/gpu"


@dataclass(frozen=True, slots=True)
class AksCluster:
    """The cluster, its pools, and how it is reached."""

    resource: containerservice.ManagedCluster
    pools: tuple[containerservice.AgentPool, ...]
    issuer: pulumi.Output[str]
    kubeconfig: pulumi.Output[str]


def make_cluster(
    context: Context, where: Network, keys: Keys, logs: pulumi.Output[str], entrance: network.PublicIPAddress
) -> AksCluster:
    """Make the cluster with a pool of nodes for each of the configuration's."""
    config, settings = context.config, context.config.azure
    identity = make_identity(context, "cluster")
    grants = [
        context.assign(f"cluster-{name}", identity.principal_id, NETWORK_CONTRIBUTOR, scope)
        for name, scope in (("nodes", where.nodes.id), ("api", where.api.id), ("edge", entrance.id))
    ]
    vault = keys.data.vault.id
    grants += [
        # It makes a private way to the vault for itself, and encrypts Kubernetes' secrets with the key.
        context.assign("cluster-vault", identity.principal_id, VAULT_CONTRIBUTOR, vault),
        context.assign("cluster-key", identity.principal_id, KEY_USER, vault),
    ]
    system, *others = sorted(config.node_pools, key=lambda pool: not pool.system)
    made = containerservice.ManagedCluster(
        "cluster",
        resource_name_=config.name,
        resource_group_name=context.group_name,
        location=settings.location,
        dns_prefix=config.name,
        kubernetes_version=settings.kubernetes,
        node_resource_group=f"{config.group}-nodes",
        sku=containerservice.ManagedClusterSKUArgs(name="Base", tier="Standard" if config.is_production else "Free"),
        identity=containerservice.ManagedClusterIdentityArgs(
            type=containerservice.ResourceIdentityType.USER_ASSIGNED, user_assigned_identities=[identity.id]
        ),
        disable_local_accounts=True,
        enable_rbac=True,
        aad_profile=containerservice.ManagedClusterAADProfileArgs(
            managed=True, enable_azure_rbac=True, tenant_id=settings.tenant
        ),
        api_server_access_profile=_api(context, where),
        network_profile=_network(),
        oidc_issuer_profile=containerservice.ManagedClusterOIDCIssuerProfileArgs(enabled=True),
        auto_scaler_profile=_scaling(),
        # Pools are the configuration's: Azure adds none of its own.
        node_provisioning_profile=containerservice.ManagedClusterNodeProvisioningProfileArgs(mode="Manual"),
        security_profile=containerservice.ManagedClusterSecurityProfileArgs(
            azure_key_vault_kms=containerservice.AzureKeyVaultKmsArgs(
                enabled=True,
                key_id=keys.cluster.key_uri_with_version,
                key_vault_network_access="Private",
                key_vault_resource_id=vault,
            ),
            workload_identity=containerservice.ManagedClusterSecurityProfileWorkloadIdentityArgs(enabled=True),
            image_cleaner=containerservice.ManagedClusterSecurityProfileImageCleanerArgs(
                enabled=True, interval_hours=168
            ),
            defender=containerservice.ManagedClusterSecurityProfileDefenderArgs(
                log_analytics_workspace_resource_id=logs,
                security_monitoring=containerservice.ManagedClusterSecurityProfileDefenderSecurityMonitoringArgs(
                    enabled=config.is_production
                ),
            )
            if config.is_production
            else None,
        ),
        addon_profiles={
            "azureKeyvaultSecretsProvider": containerservice.ManagedClusterAddonProfileArgs(
                enabled=True, config={"enableSecretRotation": "true"}
            ),
            "azurepolicy": containerservice.ManagedClusterAddonProfileArgs(enabled=True),
        },
        azure_monitor_profile=containerservice.ManagedClusterAzureMonitorProfileArgs(
            metrics=containerservice.ManagedClusterAzureMonitorProfileMetricsArgs(enabled=True)
        ),
        auto_upgrade_profile=containerservice.ManagedClusterAutoUpgradeProfileArgs(
            upgrade_channel="patch", node_os_upgrade_channel="NodeImage"
        ),
        agent_pool_profiles=[_system(context, where, system)],
        tags=context.tags,
        # The autoscaler decides on sizes, and patches come by themselves.
        opts=context.options(
            protect=config.is_production, ignore=["agentPoolProfiles[0].count", "kubernetesVersion"], after=grants
        ),
    )
    _maintenance(context, made)
    for number, group in enumerate(settings.administrators):
        context.assign(f"administrators-{number}", group, CLUSTER_ADMIN, made.id, kind="Group")
        context.assign(f"administrators-{number}-login", group, CLUSTER_USER, made.id, kind="Group")
    pools = tuple(_pool(context, where, made, pool) for pool in others)
    return AksCluster(made, pools, made.oidc_issuer_profile.apply(_issuer), _kubeconfig(context, made))


def _maintenance(context: Context, cluster: containerservice.ManagedCluster) -> None:
    """Change versions of Kubernetes, and images of nodes, on Sunday nights alone."""
    names = {"upgrades": "aksManagedAutoUpgradeSchedule", "node-images": "aksManagedNodeOSUpgradeSchedule"}
    for name, known in names.items():
        containerservice.MaintenanceConfiguration(
            name,
            config_name=known,
            resource_name_=cluster.name,
            resource_group_name=context.group_name,
            maintenance_window=containerservice.MaintenanceWindowArgs(
                duration_hours=4,
                start_time="02:00",
                schedule=containerservice.ScheduleArgs(
                    weekly=containerservice.WeeklyScheduleArgs(day_of_week="Sunday", interval_weeks=1)
                ),
            ),
            opts=context.options(),
        )


def _scaling() -> containerservice.ManagedClusterPropertiesAutoScalerProfileArgs:
    """Return how pools grow and shrink: where least is left over, and tasks on a node that is emptied may end."""
    return containerservice.ManagedClusterPropertiesAutoScalerProfileArgs(
        expander="least-waste",
        balance_similar_node_groups="true",
        skip_nodes_with_local_storage="false",
        scale_down_unneeded_time="10m",
        max_graceful_termination_sec="600",
    )


def _api(context: Context, where: Network) -> containerservice.ManagedClusterAPIServerAccessProfileArgs:
    private = context.config.network.private_api
    return containerservice.ManagedClusterAPIServerAccessProfileArgs(
        enable_private_cluster=private,
        enable_vnet_integration=True,
        subnet_id=where.api.id,
        disable_run_command=True,
        authorized_ip_ranges=None if private else list(context.config.network.administrators),
    )


def _network() -> containerservice.ContainerServiceNetworkProfileArgs:
    return containerservice.ContainerServiceNetworkProfileArgs(
        network_plugin="azure",
        network_plugin_mode="overlay",
        network_dataplane="cilium",
        network_policy="cilium",
        outbound_type="userAssignedNATGateway",
        load_balancer_sku="standard",
        pod_cidr="10.244.0.0/16",
        service_cidr="10.245.0.0/16",
        dns_service_ip="10.245.0.10",
    )


def _system(context: Context, where: Network, pool: NodePool) -> containerservice.ManagedClusterAgentPoolProfileArgs:
    return containerservice.ManagedClusterAgentPoolProfileArgs(
        name=pool.name.replace("-", "")[:12],
        mode="System",
        type="VirtualMachineScaleSets",
        vm_size=pool.machines[0],
        enable_auto_scaling=True,
        count=pool.minimum,
        min_count=pool.minimum,
        max_count=pool.maximum,
        availability_zones=context.config.zones,
        os_sku="AzureLinux",
        os_type="Linux",
        os_disk_size_gb=pool.disk_gib,
        enable_encryption_at_host=True,
        vnet_subnet_id=where.nodes.id,
        node_labels={POOL: "system"},
        upgrade_settings=containerservice.AgentPoolUpgradeSettingsArgs(max_surge="33%"),
    )


def _pool(
    context: Context, where: Network, cluster: containerservice.ManagedCluster, pool: NodePool
) -> containerservice.AgentPool:
    labels = {POOL: "system" if pool.system else "workers"}
    taints = []
    if pool.gpus:
        labels[GPU_LABEL] = pool.gpu_type
        taints.append(f"{GPU}=present:NoSchedule")
    if pool.spot:
        labels[SPOT] = "spot"
        taints.append(f"{SPOT}=spot:NoSchedule")
    return containerservice.AgentPool(
        pool.name,
        agent_pool_name=pool.name.replace("-", "")[:12],
        resource_name_=cluster.name,
        resource_group_name=context.group_name,
        mode="System" if pool.system else "User",
        vm_size=pool.machines[0],
        enable_auto_scaling=True,
        count=pool.minimum,
        min_count=pool.minimum,
        max_count=pool.maximum,
        availability_zones=context.config.zones,
        scale_set_priority="Spot" if pool.spot else "Regular",
        scale_set_eviction_policy="Delete" if pool.spot else None,
        # Minus one: as much as regular nodes cost, at most.
        spot_max_price=-1.0 if pool.spot else None,
        gpu_profile=containerservice.GPUProfileArgs(driver="Install") if pool.gpus else None,
        os_sku="AzureLinux",
        os_type="Linux",
        os_disk_size_gb=pool.disk_gib,
        enable_encryption_at_host=True,
        enable_node_public_ip=False,
        vnet_subnet_id=where.nodes.id,
        node_labels=labels,
        node_taints=taints,
        upgrade_settings=None if pool.spot else containerservice.AgentPoolUpgradeSettingsArgs(max_surge="33%"),
        tags=context.tags,
        opts=context.options(ignore=["count"]),
    )


def _issuer(found: containerservice.outputs.ManagedClusterOIDCIssuerProfileResponse | None) -> str:
    return str(found.issuer_url).rstrip("/") if found else ""


def _kubeconfig(context: Context, cluster: containerservice.ManagedCluster) -> pulumi.Output[str]:
    """Return AKS's own kubeconfig: it holds no credential, `kubelogin` gets one for whoever uses it."""
    found = containerservice.list_managed_cluster_user_credentials_output(
        resource_group_name=context.group_name,
        resource_name=cluster.name,
        format="exec",
        opts=pulumi.InvokeOutputOptions(provider=context.provider),
    )
    return found.apply(lambda answer: base64.b64decode(answer.kubeconfigs[0].value).decode())
