"""The registry, logs, metrics, alarms, and the budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_azure_native import (
    alertsmanagement,
    consumption,
    containerregistry,
    dashboard,
    monitor,
    operationalinsights,
)

from flyteform_azure.context import METRICS_READER, PULL
from flyteform_azure.network import private_endpoint

if TYPE_CHECKING:
    from flyteform_azure.cluster import AksCluster
    from flyteform_azure.context import Context
    from flyteform_azure.databases import FlexibleDatabase
    from flyteform_azure.network import Network

_CLUSTER_LOGS = ("kube-apiserver", "kube-audit-admin", "kube-controller-manager", "kube-scheduler", "guard")


def make_logs(context: Context) -> operationalinsights.Workspace:
    """Make where logs are kept."""
    return operationalinsights.Workspace(
        "logs",
        workspace_name=context.name("logs"),
        resource_group_name=context.group_name,
        location=context.config.azure.location,
        sku=operationalinsights.WorkspaceSkuArgs(name="PerGB2018"),
        retention_in_days=context.config.azure.log_days,
        tags=context.tags,
        opts=context.options(protect=context.config.is_production),
    )


def make_registry(context: Context, network: Network, cluster: AksCluster) -> None:
    """Make the registry of the platform's and tasks' images; the nodes may pull, nobody logs in with a password."""
    config = context.config
    production = config.is_production
    registry = containerregistry.Registry(
        "images",
        registry_name=config.worldwide("cr"),
        resource_group_name=context.group_name,
        location=config.azure.location,
        sku=containerregistry.SkuArgs(name="Premium" if production else "Basic"),
        admin_user_enabled=False,
        anonymous_pull_enabled=False,
        public_network_access="Disabled" if production else "Enabled",
        zone_redundancy="Enabled" if production else "Disabled",
        tags=context.tags,
        opts=context.options(protect=production),
    )
    if production:
        private_endpoint(context, "images", registry.id, "registry", "privatelink.azurecr.io", network)
    kubelet = cluster.resource.identity_profile.apply(
        lambda found: str(found["kubeletidentity"].object_id) if found else ""
    )
    context.assign("nodes-pull", kubelet, PULL, registry.id)


def watch(
    context: Context,
    cluster: AksCluster,
    databases: dict[str, FlexibleDatabase],
    logs: operationalinsights.Workspace,
) -> None:
    """Keep the cluster's and databases' logs, its metrics, and alarms on what would stop the platform."""
    watched = {"cluster": cluster.resource.id} | {name: each.server.id for name, each in databases.items()}
    for name, resource in watched.items():
        categories = _CLUSTER_LOGS if name == "cluster" else ("PostgreSQLLogs",)
        monitor.DiagnosticSetting(
            name,
            name="logs",
            resource_uri=resource,
            workspace_id=logs.id,
            logs=[monitor.DiagnosticsLogSettingsArgs(category=category, enabled=True) for category in categories],
            metrics=[monitor.DiagnosticsMetricSettingsArgs(category="AllMetrics", enabled=True)]
            if name != "cluster"
            else None,
            opts=context.options(),
        )
    if context.config.is_production:
        _metrics(context, cluster)


def _metrics(context: Context, cluster: AksCluster) -> None:
    location = context.config.azure.location
    workspace = monitor.AzureMonitorWorkspace(
        "metrics",
        azure_monitor_workspace_name=context.name("metrics"),
        resource_group_name=context.group_name,
        location=location,
        tags=context.tags,
        opts=context.options(protect=context.config.is_production),
    )
    endpoint = monitor.DataCollectionEndpoint(
        "metrics",
        data_collection_endpoint_name=context.name("metrics"),
        resource_group_name=context.group_name,
        location=location,
        kind="Linux",
        tags=context.tags,
        opts=context.options(),
    )
    rule = monitor.DataCollectionRule(
        "metrics",
        data_collection_endpoint_id=endpoint.id,
        data_collection_rule_name=context.name("metrics"),
        resource_group_name=context.group_name,
        location=location,
        kind="Linux",
        data_sources=monitor.DataCollectionRuleDataSourcesArgs(
            prometheus_forwarder=[
                monitor.PrometheusForwarderDataSourceArgs(name="prometheus", streams=["Microsoft-PrometheusMetrics"])
            ]
        ),
        destinations=monitor.DataCollectionRuleDestinationsArgs(
            monitoring_accounts=[
                monitor.MonitoringAccountDestinationArgs(name="metrics", account_resource_id=workspace.id)
            ]
        ),
        data_flows=[monitor.DataFlowArgs(streams=["Microsoft-PrometheusMetrics"], destinations=["metrics"])],
        tags=context.tags,
        opts=context.options(),
    )
    # Without it the rule is nobody's.
    monitor.DataCollectionRuleAssociation(
        "metrics",
        association_name="metrics",
        resource_uri=cluster.resource.id,
        data_collection_rule_id=rule.id,
        opts=context.options(),
    )
    shown = dashboard.Grafana(
        "dashboards",
        workspace_name=context.config.worldwide("gr"),
        resource_group_name=context.group_name,
        location=location,
        sku=dashboard.ResourceSkuArgs(name="Standard"),
        identity=dashboard.ManagedServiceIdentityArgs(type="SystemAssigned"),
        properties=dashboard.ManagedGrafanaPropertiesArgs(
            api_key="Disabled",
            public_network_access="Disabled",
            zone_redundancy="Enabled",
            grafana_integrations=dashboard.GrafanaIntegrationsArgs(
                azure_monitor_workspace_integrations=[
                    dashboard.AzureMonitorWorkspaceIntegrationArgs(azure_monitor_workspace_resource_id=workspace.id)
                ]
            ),
        ),
        tags=context.tags,
        opts=context.options(),
    )
    reader = shown.identity.apply(lambda found: str(found.principal_id) if found else "")
    context.assign("dashboards", reader, METRICS_READER, workspace.id)
    alertsmanagement.PrometheusRuleGroup(
        "alarms",
        rule_group_name=context.name("alarms"),
        resource_group_name=context.group_name,
        location=location,
        cluster_name=cluster.resource.name,
        scopes=[workspace.id, cluster.resource.id],
        interval="PT1M",
        rules=[
            alertsmanagement.PrometheusRuleArgs(
                alert="FlyteformUnavailable",
                expression='kube_deployment_status_replicas_available{namespace=~"flyteform.*"} == 0',
                for_="PT5M",
                severity=1,
                enabled=True,
            )
        ],
        tags=context.tags,
        opts=context.options(),
    )


def make_budget(context: Context) -> None:
    """Tell people when the month's costs come near the budget."""
    costs = context.config.azure.costs
    if not costs.monthly:
        return
    notifications = {
        f"{kind.lower()}-{threshold}": consumption.NotificationArgs(
            enabled=True,
            operator="GreaterThan",
            threshold=float(threshold),
            threshold_type=kind,
            contact_emails=list(costs.emails),
        )
        for kind, threshold in (("Actual", 80), ("Forecasted", 100))
    }
    consumption.Budget(
        "month",
        budget_name=context.name("month"),
        scope=context.group.id,
        amount=float(costs.monthly),
        category="Cost",
        time_grain="Monthly",
        time_period=consumption.BudgetTimePeriodArgs(start_date=f"{costs.since}T00:00:00Z"),
        notifications=notifications,
        opts=context.options(),
    )
