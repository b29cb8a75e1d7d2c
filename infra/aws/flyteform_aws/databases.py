"""PostgreSQL for admin and for the catalog: an instance and a user each, reachable from the cluster alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_aws import ec2, iam, rds, vpc

from flyteform_aws import documents

if TYPE_CHECKING:
    import pulumi
    from flyteform_aws.cluster import EksCluster
    from flyteform_aws.context import Context
    from flyteform_aws.keys import Keys
    from flyteform_aws.network import Network

NAMES = ("admin", "catalog")
USER = "flyteform"
PORT = 5432
_LOGS = ("postgresql", "upgrade")


@dataclass(frozen=True, slots=True)
class RdsDatabase:
    """An instance, and the ARN of the secret that RDS keeps its password in and rotates."""

    instance: rds.Instance
    secret: pulumi.Output[str]


@dataclass(frozen=True, slots=True)
class Databases:
    """Both databases by name, and the security group that they are in."""

    instances: dict[str, RdsDatabase]
    group: ec2.SecurityGroup


def make_databases(context: Context, network: Network, cluster: EksCluster, keys: Keys) -> Databases:
    """Make both databases."""
    subnets = rds.SubnetGroup(
        "databases",
        name=context.name("databases"),
        subnet_ids=[subnet.id for subnet in network.data],
        opts=context.options(),
    )
    parameters = rds.ParameterGroup(
        "databases",
        name=context.name(f"postgres{context.config.database.version}"),
        family=f"postgres{context.config.database.version}",
        parameters=[
            rds.ParameterGroupParameterArgs(name="rds.force_ssl", value="1", apply_method="pending-reboot"),
            rds.ParameterGroupParameterArgs(name="log_min_duration_statement", value="1000"),
        ],
        opts=context.options(),
    )
    group = _reachable(context, network, cluster)
    watcher = _watcher(context)
    shared = _Shared(subnets, parameters, group, watcher, keys)
    return Databases({name: _database(context, name, shared) for name in NAMES}, group)


@dataclass(frozen=True, slots=True)
class _Shared:
    subnets: rds.SubnetGroup
    parameters: rds.ParameterGroup
    group: ec2.SecurityGroup
    watcher: iam.Role
    keys: Keys


def _database(context: Context, name: str, shared: _Shared) -> RdsDatabase:
    sizes = context.config.database
    instance = rds.Instance(
        name,
        identifier=context.name(name),
        engine="postgres",
        engine_version=str(sizes.version),
        instance_class=sizes.machine or "db.t4g.micro",
        allocated_storage=sizes.storage_gib,
        max_allocated_storage=sizes.storage_gib * 4,
        storage_type="gp3",
        storage_encrypted=True,
        kms_key_id=shared.keys.data.arn,
        db_name=name,
        username=USER,
        port=PORT,
        manage_master_user_password=True,
        master_user_secret_kms_key_id=shared.keys.data.key_id,
        iam_database_authentication_enabled=True,
        multi_az=sizes.highly_available,
        db_subnet_group_name=shared.subnets.name,
        parameter_group_name=shared.parameters.name,
        vpc_security_group_ids=[shared.group.id],
        publicly_accessible=False,
        ca_cert_identifier="rds-ca-rsa2048-g1",
        backup_retention_period=sizes.backup_days,
        copy_tags_to_snapshot=True,
        delete_automated_backups=not sizes.deletion_protection,
        deletion_protection=sizes.deletion_protection,
        skip_final_snapshot=not sizes.deletion_protection,
        final_snapshot_identifier=context.name(name, "final") if sizes.deletion_protection else None,
        auto_minor_version_upgrade=True,
        performance_insights_enabled=True,
        performance_insights_kms_key_id=shared.keys.data.arn,
        monitoring_interval=60,
        monitoring_role_arn=shared.watcher.arn,
        enabled_cloudwatch_logs_exports=list(_LOGS),
        # Storage grows by itself; shrinking it back would replace the instance.
        opts=context.options(protect=sizes.deletion_protection, ignore=["allocatedStorage"]),
    )
    return RdsDatabase(instance, instance.master_user_secrets.apply(lambda found: str(found[0].secret_arn)))


def _reachable(context: Context, network: Network, cluster: EksCluster) -> ec2.SecurityGroup:
    group = ec2.SecurityGroup(
        "databases",
        vpc_id=network.vpc.id,
        description="PostgreSQL, for the cluster's pods",
        tags=context.named("databases"),
        opts=context.options(),
    )
    if context.config.aws.database_proxy:
        # Proxies come instead.
        return group
    vpc.SecurityGroupIngressRule(
        "databases-from-cluster",
        security_group_id=group.id,
        referenced_security_group_id=cluster.security_group,
        ip_protocol="tcp",
        from_port=PORT,
        to_port=PORT,
        opts=context.options(),
    )
    return group


def _watcher(context: Context) -> iam.Role:
    role = iam.Role(
        "database-monitoring",
        name=context.name("database-monitoring"),
        assume_role_policy=documents.text(documents.trust("monitoring.rds.amazonaws.com")),
        opts=context.options(),
    )
    iam.RolePolicyAttachment(
        "database-monitoring",
        role=role.name,
        policy_arn=f"arn:{context.config.aws.partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole",
        opts=context.options(),
    )
    return role
