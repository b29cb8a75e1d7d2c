"""The Kubernetes cluster: private nodes, an endpoint that IAM guards, and everything that GKE can watch over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_gcp import container, projects, serviceaccount

from flyteform_gcp.network import PODS, SERVICES
from flyteform_platform.clouds.kubeconfig import kubeconfig

if TYPE_CHECKING:
    import pulumi
    from flyteform_gcp.context import Context
    from flyteform_gcp.keys import Keys
    from flyteform_gcp.network import Network

# What nodes may do in the project: write logs and metrics, and pull images.
_NODE_ROLES = ("logging.logWriter", "monitoring.metricWriter", "artifactregistry.reader")


@dataclass(frozen=True, slots=True)
class GkeCluster:
    """The cluster, who its nodes are, and how it is reached."""

    resource: container.Cluster
    nodes: serviceaccount.Account
    issuer: str
    kubeconfig: pulumi.Output[str]


def make_cluster(context: Context, network: Network, keys: Keys) -> GkeCluster:
    """Make the cluster without nodes. Its API server has no address but a name that IAM guards."""
    config, settings = context.config, context.config.gcp
    made = container.Cluster(
        "cluster",
        name=config.name,
        location=settings.region,
        node_locations=list(config.zones),
        deletion_protection=config.is_production,
        remove_default_node_pool=True,
        initial_node_count=1,
        network=network.network.id,
        subnetwork=network.subnet.id,
        networking_mode="VPC_NATIVE",
        datapath_provider="ADVANCED_DATAPATH",
        ip_allocation_policy=container.ClusterIpAllocationPolicyArgs(
            cluster_secondary_range_name=PODS, services_secondary_range_name=SERVICES
        ),
        private_cluster_config=container.ClusterPrivateClusterConfigArgs(enable_private_nodes=True),
        control_plane_endpoints_config=container.ClusterControlPlaneEndpointsConfigArgs(
            dns_endpoint_config=container.ClusterControlPlaneEndpointsConfigDnsEndpointConfigArgs(
                allow_external_traffic=not config.network.private_api
            ),
            ip_endpoints_config=container.ClusterControlPlaneEndpointsConfigIpEndpointsConfigArgs(enabled=False),
        ),
        workload_identity_config=container.ClusterWorkloadIdentityConfigArgs(
            workload_pool=f"{settings.project}.svc.id.goog"
        ),
        database_encryption=container.ClusterDatabaseEncryptionArgs(state="ENCRYPTED", key_name=keys.cluster.id),
        enable_shielded_nodes=True,
        gateway_api_config=container.ClusterGatewayApiConfigArgs(channel="CHANNEL_STANDARD"),
        secret_manager_config=container.ClusterSecretManagerConfigArgs(enabled=True),
        # Tasks come and go: nodes that are not full are emptied sooner.
        cluster_autoscaling=container.ClusterClusterAutoscalingArgs(
            enabled=False, autoscaling_profile="OPTIMIZE_UTILIZATION"
        ),
        fleet=container.ClusterFleetArgs(project=settings.project) if config.is_production else None,
        managed_opentelemetry_config=container.ClusterManagedOpentelemetryConfigArgs(
            scope="COLLECTION_AND_INSTRUMENTATION_COMPONENTS"
        )
        if config.is_production
        else None,
        cost_management_config=container.ClusterCostManagementConfigArgs(enabled=True),
        security_posture_config=container.ClusterSecurityPostureConfigArgs(
            mode="BASIC", vulnerability_mode="VULNERABILITY_BASIC"
        ),
        binary_authorization=container.ClusterBinaryAuthorizationArgs(
            evaluation_mode="PROJECT_SINGLETON_POLICY_ENFORCE" if config.is_production else "DISABLED"
        ),
        authenticator_groups_config=container.ClusterAuthenticatorGroupsConfigArgs(
            security_group=settings.security_group
        )
        if settings.security_group
        else None,
        release_channel=container.ClusterReleaseChannelArgs(channel=settings.channel),
        maintenance_policy=container.ClusterMaintenancePolicyArgs(
            recurring_window=container.ClusterMaintenancePolicyRecurringWindowArgs(
                start_time="2026-01-03T02:00:00Z", end_time="2026-01-03T08:00:00Z", recurrence="FREQ=WEEKLY;BYDAY=SA,SU"
            )
        ),
        master_auth=container.ClusterMasterAuthArgs(
            client_certificate_config=container.ClusterMasterAuthClientCertificateConfigArgs(
                issue_client_certificate=False
            )
        ),
        addons_config=container.ClusterAddonsConfigArgs(
            gke_backup_agent_config=container.ClusterAddonsConfigGkeBackupAgentConfigArgs(enabled=settings.backups)
        ),
        monitoring_config=container.ClusterMonitoringConfigArgs(
            enable_components=[
                "SYSTEM_COMPONENTS",
                "APISERVER",
                "CONTROLLER_MANAGER",
                "SCHEDULER",
                "POD",
                "DEPLOYMENT",
            ],
            managed_prometheus=container.ClusterMonitoringConfigManagedPrometheusArgs(enabled=True),
        ),
        logging_config=container.ClusterLoggingConfigArgs(
            enable_components=["SYSTEM_COMPONENTS", "WORKLOADS", "APISERVER", "CONTROLLER_MANAGER", "SCHEDULER"]
        ),
        enable_legacy_abac=False,
        # The default pool is gone after the start: how it would be is no difference.
        opts=context.options(
            protect=config.is_production, ignore=["initialNodeCount", "nodeConfig"], after=keys.grants
        ),
    )
    _administrators(context)
    issuer = f"https://container.googleapis.com/v1/projects/{settings.project}/locations/{settings.region}/clusters/{config.name}"
    return GkeCluster(made, _nodes(context), issuer, _kubeconfig(context, made))


def _nodes(context: Context) -> serviceaccount.Account:
    account = serviceaccount.Account(
        "nodes",
        account_id=context.config.account_id("nodes"),
        display_name=f"Nodes of {context.config.name}",
        opts=context.options(),
    )
    for role in _NODE_ROLES:
        projects.IAMMember(
            f"nodes-{role}",
            project=context.config.gcp.project,
            role=f"roles/{role}",
            member=account.email.apply("serviceAccount:{}".format),
            opts=context.options(),
        )
    return account


def _administrators(context: Context) -> None:
    for member in context.config.gcp.administrators:
        projects.IAMMember(
            f"administrator-{member}",
            project=context.config.gcp.project,
            role="roles/container.admin",
            member=member,
            opts=context.options(),
        )


def _kubeconfig(context: Context, cluster: container.Cluster) -> pulumi.Output[str]:
    endpoint = cluster.control_plane_endpoints_config.apply(_endpoint)
    more = {"provideClusterInfo": True}
    return endpoint.apply(
        lambda host: kubeconfig(context.config.name, f"https://{host}", "gke-gcloud-auth-plugin", more=more)
    )


def _endpoint(found: container.outputs.ClusterControlPlaneEndpointsConfig) -> str:
    # GKE gives one to every cluster.
    return str(found.dns_endpoint_config.endpoint) if found.dns_endpoint_config else ""
