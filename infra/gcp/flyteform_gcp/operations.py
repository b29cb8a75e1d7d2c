"""Registries, alarms, backups, budgets and quotas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_gcp import artifactregistry, billing, cloudquota, gkebackup, monitoring

import pulumi

if TYPE_CHECKING:
    from flyteform_gcp.cluster import GkeCluster
    from flyteform_gcp.context import Context
    from flyteform_gcp.databases import SqlDatabase
    from flyteform_gcp.keys import Keys

_FORTNIGHT = "1209600s"


def make_registries(context: Context, keys: Keys) -> None:
    """Make the registry of the platform's and tasks' images (a tag is never moved), and a copy of public ones."""
    artifactregistry.Repository(
        "images",
        repository_id=context.config.name,
        location=context.config.gcp.region,
        format="DOCKER",
        kms_key_name=keys.images.id,
        docker_config=artifactregistry.RepositoryDockerConfigArgs(immutable_tags=True),
        cleanup_policies=[
            artifactregistry.RepositoryCleanupPolicyArgs(
                id="untagged",
                action="DELETE",
                condition=artifactregistry.RepositoryCleanupPolicyConditionArgs(
                    tag_state="UNTAGGED", older_than=_FORTNIGHT
                ),
            )
        ],
        opts=context.options(protect=context.config.is_production, after=keys.grants),
    )
    artifactregistry.Repository(
        "public",
        repository_id=context.name("public"),
        location=context.config.gcp.region,
        format="DOCKER",
        mode="REMOTE_REPOSITORY",
        kms_key_name=keys.images.id,
        remote_repository_config=artifactregistry.RepositoryRemoteRepositoryConfigArgs(
            docker_repository=artifactregistry.RepositoryRemoteRepositoryConfigDockerRepositoryArgs(
                public_repository="DOCKER_HUB"
            )
        ),
        opts=context.options(after=keys.grants),
    )


def make_alarms(context: Context, databases: dict[str, SqlDatabase]) -> None:
    """Watch the databases: what fills or overloads them is told before it stops the platform."""
    channels = [
        monitoring.NotificationChannel(
            email, display_name=email, type="email", labels={"email_address": email}, opts=context.options()
        )
        for email in context.config.gcp.alarm_emails
    ]
    for name, database in databases.items():
        for metric in ("cpu", "disk"):
            expression = pulumi.Output.concat(
                f'metric.type="cloudsql.googleapis.com/database/{metric}/utilization" AND '
                f'resource.type="cloudsql_database" AND resource.label.database_id="{context.config.gcp.project}:',
                database.instance.name,
                '"',
            )
            condition = monitoring.AlertPolicyConditionConditionThresholdArgs(
                filter=expression,
                comparison="COMPARISON_GT",
                threshold_value=0.8,
                duration="900s",
                aggregations=[
                    monitoring.AlertPolicyConditionConditionThresholdAggregationArgs(
                        alignment_period="300s", per_series_aligner="ALIGN_MEAN"
                    )
                ],
            )
            monitoring.AlertPolicy(
                f"{name}-{metric}",
                display_name=context.name(name, metric),
                combiner="OR",
                severity="WARNING",
                conditions=[
                    monitoring.AlertPolicyConditionArgs(
                        display_name=f"{metric} of {name} above 80 percent", condition_threshold=condition
                    )
                ],
                notification_channels=[channel.name for channel in channels],
                opts=context.options(),
            )


def make_backups(context: Context, cluster: GkeCluster) -> None:
    """Keep a copy of what is in the cluster each night; databases and buckets keep their own."""
    gkebackup.BackupPlan(
        "nightly",
        name=context.name("nightly"),
        cluster=cluster.resource.id,
        location=context.config.gcp.region,
        backup_config=gkebackup.BackupPlanBackupConfigArgs(
            all_namespaces=True, include_secrets=True, include_volume_data=False
        ),
        backup_schedule=gkebackup.BackupPlanBackupScheduleArgs(cron_schedule="0 3 * * *"),
        retention_policy=gkebackup.BackupPlanRetentionPolicyArgs(
            backup_retain_days=context.config.database.backup_days
        ),
        opts=context.options(),
    )


def make_costs(context: Context) -> None:
    """Tell people when the month's costs come near the budget, and ask for the quotas that the pools need."""
    settings = context.config.gcp
    if settings.costs.monthly_usd and settings.costs.account:
        billing.Budget(
            "month",
            billing_account=settings.costs.account,
            display_name=context.config.name,
            amount=billing.BudgetAmountArgs(
                specified_amount=billing.BudgetAmountSpecifiedAmountArgs(
                    currency_code="USD", units=str(settings.costs.monthly_usd)
                )
            ),
            budget_filter=billing.BudgetBudgetFilterArgs(projects=[f"projects/{settings.number}"]),
            threshold_rules=[
                billing.BudgetThresholdRuleArgs(threshold_percent=0.8, spend_basis="CURRENT_SPEND"),
                billing.BudgetThresholdRuleArgs(threshold_percent=1.0, spend_basis="FORECASTED_SPEND"),
            ],
            opts=context.options(),
        )
    wanted = {
        "CPUS-per-project-region": settings.quotas.cpus,
        "NVIDIA-L4-GPUS-per-project-region": settings.quotas.l4_gpus,
    }
    for quota, value in wanted.items():
        if value:
            cloudquota.SQuotaPreference(
                quota,
                name=f"{context.config.name}-{quota}".lower(),
                parent=f"projects/{settings.project}",
                service="compute.googleapis.com",
                quota_id=quota,
                dimensions={"region": settings.region},
                quota_config=cloudquota.SQuotaPreferenceQuotaConfigArgs(preferred_value=str(value)),
                contact_email=next(iter(settings.alarm_emails), None),
                opts=context.options(),
            )
