"""PostgreSQL for admin and for the catalog: an instance and a user each, without passwords."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_gcp import projects, serviceaccount, sql

if TYPE_CHECKING:
    from flyteform_gcp.context import Context
    from flyteform_gcp.keys import Keys
    from flyteform_gcp.network import Network

NAMES = ("admin", "catalog")


@dataclass(frozen=True, slots=True)
class SqlDatabase:
    """An instance, and the account in whose name the control plane logs in."""

    instance: sql.DatabaseInstance
    account: serviceaccount.Account


def make_databases(
    context: Context, network: Network, keys: Keys, control_plane: serviceaccount.Account
) -> dict[str, SqlDatabase]:
    """Make both databases, by name. The control plane's account may speak as the user of each."""
    instances = {name: _database(context, name, network, keys) for name in NAMES}
    return {
        name: SqlDatabase(instance, _login(context, name, instance, control_plane))
        for name, instance in instances.items()
    }


def _database(context: Context, name: str, network: Network, keys: Keys) -> sql.DatabaseInstance:
    config, sizes = context.config, context.config.database
    instance = sql.DatabaseInstance(
        name,
        name=context.name(name),
        region=config.gcp.region,
        database_version=f"POSTGRES_{sizes.version}",
        encryption_key_name=keys.sql.id,
        deletion_protection=sizes.deletion_protection,
        settings=_settings(context, network),
        # Disks grow by themselves; shrinking one back would replace the instance.
        opts=context.options(
            protect=sizes.deletion_protection, ignore=["settings.diskSize"], after=[network.databases, *keys.grants]
        ),
    )
    sql.Database(name, name=name, instance=instance.name, opts=context.options(protect=sizes.deletion_protection))
    return instance


def _settings(context: Context, network: Network) -> sql.DatabaseInstanceSettingsArgs:
    config, sizes = context.config, context.config.database
    return sql.DatabaseInstanceSettingsArgs(
        tier=sizes.machine or "db-f1-micro",
        edition="ENTERPRISE",
        availability_type="REGIONAL" if sizes.highly_available else "ZONAL",
        disk_type="PD_SSD",
        disk_size=sizes.storage_gib,
        disk_autoresize=True,
        deletion_protection_enabled=sizes.deletion_protection,
        ip_configuration=sql.DatabaseInstanceSettingsIpConfigurationArgs(
            ipv4_enabled=False, private_network=network.network.id, ssl_mode="ENCRYPTED_ONLY"
        ),
        backup_configuration=sql.DatabaseInstanceSettingsBackupConfigurationArgs(
            enabled=True,
            start_time="03:00",
            location=config.gcp.region,
            point_in_time_recovery_enabled=True,
            transaction_log_retention_days=7,
            backup_retention_settings=sql.DatabaseInstanceSettingsBackupConfigurationBackupRetentionSettingsArgs(
                retained_backups=sizes.backup_days, retention_unit="COUNT"
            ),
        ),
        final_backup_config=sql.DatabaseInstanceSettingsFinalBackupConfigArgs(
            enabled=sizes.deletion_protection, retention_days=30
        )
        if sizes.deletion_protection
        else None,
        database_flags=[
            sql.DatabaseInstanceSettingsDatabaseFlagArgs(name="cloudsql.iam_authentication", value="on"),
            sql.DatabaseInstanceSettingsDatabaseFlagArgs(name="log_min_duration_statement", value="1000"),
        ],
        insights_config=sql.DatabaseInstanceSettingsInsightsConfigArgs(
            query_insights_enabled=True, record_application_tags=True
        ),
        maintenance_window=sql.DatabaseInstanceSettingsMaintenanceWindowArgs(day=7, hour=3, update_track="stable"),
    )


def _login(
    context: Context, name: str, instance: sql.DatabaseInstance, control_plane: serviceaccount.Account
) -> serviceaccount.Account:
    """Make the account that is the database's user, and let the control plane speak in its name."""
    config = context.config
    account = serviceaccount.Account(
        f"{name}-database",
        account_id=config.account_id(name),
        display_name=f"Database {name} of {config.name}",
        opts=context.options(),
    )
    member = account.email.apply("serviceAccount:{}".format)
    sql.User(
        name,
        name=account.email.apply(lambda email: email.removesuffix(".gserviceaccount.com")),
        instance=instance.name,
        type="CLOUD_IAM_SERVICE_ACCOUNT",
        # It owns what is in its own instance, and nothing else.
        database_roles=["cloudsqlsuperuser"],
        opts=context.options(),
    )
    only = f'resource.name == "projects/{config.gcp.project}/instances/{context.name(name)}"'
    projects.IAMMember(
        f"{name}-database",
        project=config.gcp.project,
        role="roles/cloudsql.instanceUser",
        member=member,
        condition=projects.IAMMemberConditionArgs(title=f"{name}-only", expression=only),
        opts=context.options(),
    )
    serviceaccount.IAMMember(
        f"{name}-database",
        service_account_id=account.name,
        role="roles/iam.serviceAccountTokenCreator",
        member=control_plane.email.apply("serviceAccount:{}".format),
        opts=context.options(),
    )
    return account
