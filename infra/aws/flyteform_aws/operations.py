"""What tells people that something is wrong, and what gets it back: alarms, backups, budgets, quotas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_aws import backup, budgets, cloudwatch, costexplorer, iam, servicequotas, sns

from flyteform_aws import documents

if TYPE_CHECKING:
    from flyteform_aws.buckets import Buckets
    from flyteform_aws.context import Context
    from flyteform_aws.databases import RdsDatabase
    from flyteform_aws.keys import Keys

_GIB = 1 << 30
_QUOTAS = {"on_demand_vcpus": "L-1216C47A", "spot_vcpus": "L-34B43A08", "gpu_vcpus": "L-DB2E81BA"}
_BACKUP_POLICIES = ("service-role/AWSBackupServiceRolePolicyForBackup", "AWSBackupServiceRolePolicyForS3Backup")


def make_alarms(context: Context, databases: dict[str, RdsDatabase]) -> None:
    """Watch the databases: what fills or overloads them is told before it stops the platform."""
    topic = sns.Topic("alarms", name=context.name("alarms"), kms_master_key_id="alias/aws/sns", opts=context.options())
    for email in context.config.aws.alarm_emails:
        sns.TopicSubscription(email, topic=topic.arn, protocol="email", endpoint=email, opts=context.options())
    limits = {
        "CPUUtilization": ("GreaterThanThreshold", 80.0),
        "FreeStorageSpace": ("LessThanThreshold", 5.0 * _GIB),
        "DatabaseConnections": ("GreaterThanThreshold", 80.0),
    }
    for name, database in databases.items():
        for metric, (comparison, threshold) in limits.items():
            cloudwatch.MetricAlarm(
                f"{name}-{metric}",
                name=context.name(name, metric),
                namespace="AWS/RDS",
                metric_name=metric,
                dimensions={"DBInstanceIdentifier": database.instance.identifier},
                statistic="Average",
                period=300,
                evaluation_periods=3,
                comparison_operator=comparison,
                threshold=threshold,
                treat_missing_data="breaching",
                alarm_actions=[topic.arn],
                ok_actions=[topic.arn],
                opts=context.options(),
            )


def make_backups(context: Context, buckets: Buckets, databases: dict[str, RdsDatabase], keys: Keys) -> None:
    """Keep a copy of databases and metadata each night, in a vault of their own."""
    vault = backup.Vault(
        "backups",
        name=context.name("backups"),
        kms_key_arn=keys.data.arn,
        opts=context.options(protect=context.config.storage.deletion_protection),
    )
    role = iam.Role(
        "backups",
        name=context.name("backups"),
        assume_role_policy=documents.text(documents.trust("backup.amazonaws.com")),
        opts=context.options(),
    )
    for index, policy in enumerate(_BACKUP_POLICIES):
        iam.RolePolicyAttachment(
            f"backups-{index}",
            role=role.name,
            policy_arn=f"arn:{context.config.aws.partition}:iam::aws:policy/{policy}",
            opts=context.options(),
        )
    nightly = backup.PlanRuleArgs(
        rule_name="nightly",
        target_vault_name=vault.name,
        schedule="cron(0 3 * * ? *)",
        lifecycle=backup.PlanRuleLifecycleArgs(delete_after=context.config.database.backup_days),
    )
    plan = backup.Plan("backups", name=context.name("backups"), rules=[nightly], opts=context.options())
    backup.Selection(
        "backups",
        name=context.name("backups"),
        plan_id=plan.id,
        iam_role_arn=role.arn,
        resources=[buckets.metadata.arn, *(database.instance.arn for database in databases.values())],
        opts=context.options(),
    )


def make_costs(context: Context) -> None:
    """Tell people when the month's costs come near the budget, and ask for the quotas that the pools need."""
    costs = context.config.aws.costs
    if costs.monthly_usd:
        budgets.Budget(
            "month",
            name=context.name("month"),
            budget_type="COST",
            limit_amount=str(costs.monthly_usd),
            limit_unit="USD",
            time_unit="MONTHLY",
            cost_filters=[
                budgets.BudgetCostFilterArgs(name="TagKeyValue", values=[f"user:platform${context.config.name}"])
            ],
            notifications=[
                budgets.BudgetNotificationArgs(
                    comparison_operator="GREATER_THAN",
                    notification_type=kind,
                    threshold=threshold,
                    threshold_type="PERCENTAGE",
                    subscriber_email_addresses=list(costs.emails or context.config.aws.alarm_emails),
                )
                for kind, threshold in (("ACTUAL", 80.0), ("FORECASTED", 100.0))
            ],
            opts=context.options(),
        )
    if costs.allocation_tag:
        costexplorer.CostAllocationTag("platform", tag_key="platform", status="Active", opts=context.options())
    for field, code in _QUOTAS.items():
        if value := getattr(context.config.aws.quotas, field):
            servicequotas.ServiceQuota(
                field.replace("_", "-"),
                service_code="ec2",
                quota_code=code,
                value=float(value),
                opts=context.options(),
            )
