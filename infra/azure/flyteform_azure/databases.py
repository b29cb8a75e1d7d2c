"""PostgreSQL for admin and for the catalog: a server and a user each, in the network, without passwords."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_azure_native import authorization, dbforpostgresql, managedidentity

import pulumi
from flyteform_azure.identities import federate
from flyteform_azure.keys import make_identity
from flyteform_azure.network import private_zone
from flyteform_platform.controlplane.names import ACCOUNT as CONTROL_PLANE
from flyteform_platform.controlplane.names import RELEASE_ACCOUNT

if TYPE_CHECKING:
    from flyteform_azure.cluster import AksCluster
    from flyteform_azure.context import Context
    from flyteform_azure.keys import Keys
    from flyteform_azure.network import Network

NAMES = ("admin", "catalog")
_SMALLEST = "Standard_B1ms"
_TIERS = {"B": "Burstable", "D": "GeneralPurpose", "E": "MemoryOptimized"}


@dataclass(frozen=True, slots=True)
class FlexibleDatabase:
    """A server, and the identity that is its user, in whose name the control plane logs in."""

    server: dbforpostgresql.Server
    identity: managedidentity.UserAssignedIdentity


def make_databases(context: Context, network: Network, cluster: AksCluster, keys: Keys) -> dict[str, FlexibleDatabase]:
    """Make both servers, by name."""
    zone = private_zone(context, "databases", f"{context.config.name}.private.postgres.database.azure.com", network)
    found = {}
    for name in NAMES:
        server = _server(context, name, network, zone.id, keys)
        _settings(context, name, server)
        identity = make_identity(context, f"{name}-database")
        pods = context.config.control_plane.namespace
        bound = federate(context, cluster, f"{name}-database", identity, pods, CONTROL_PLANE)
        # What migrates the databases at a release logs in as the control plane does.
        federate(context, cluster, f"{name}-database-release", identity, pods, RELEASE_ACCOUNT, after=bound)
        dbforpostgresql.AdministratorsMicrosoftEntra(
            name,
            object_id=identity.principal_id,
            principal_name=identity.name,
            principal_type="servicePrincipal",
            server_name=server.name,
            tenant_id=context.config.azure.tenant,
            resource_group_name=context.group_name,
            opts=context.options(),
        )
        found[name] = FlexibleDatabase(server, identity)
    return found


def _server(
    context: Context, name: str, network: Network, zone: pulumi.Output[str], keys: Keys
) -> dbforpostgresql.Server:
    config, sizes = context.config, context.config.database
    grants = [keys.data.grant, *([keys.backups.grant] if keys.backups else [])]
    server = dbforpostgresql.Server(
        name,
        server_name=context.name(name, config.azure.suffix),
        resource_group_name=context.group_name,
        location=config.azure.location,
        version=str(sizes.version),
        create_mode="Create",
        sku=dbforpostgresql.SkuArgs(name=sizes.machine or _SMALLEST, tier=tier_of(sizes.machine or _SMALLEST)),
        storage=dbforpostgresql.StorageArgs(storage_size_gb=sizes.storage_gib, auto_grow="Enabled"),
        backup=dbforpostgresql.BackupArgs(
            backup_retention_days=max(7, sizes.backup_days),
            geo_redundant_backup="Enabled" if keys.backups else "Disabled",
        ),
        high_availability=dbforpostgresql.HighAvailabilityArgs(
            mode="ZoneRedundant" if sizes.highly_available else "Disabled"
        ),
        network=dbforpostgresql.NetworkArgs(
            delegated_subnet_resource_id=network.databases.id,
            private_dns_zone_arm_resource_id=zone,
            public_network_access="Disabled",
        ),
        auth_config=dbforpostgresql.AuthConfigArgs(
            active_directory_auth="Enabled",
            password_auth="Disabled",  # noqa: S106 - there is none
            tenant_id=config.azure.tenant,
        ),
        identity=dbforpostgresql.UserAssignedIdentityArgs(
            type="UserAssigned",
            user_assigned_identities=pulumi.Output.all(*_encrypting(keys)).apply(
                lambda ids: {identity: dbforpostgresql.UserIdentityArgs() for identity in ids}
            ),
        ),
        data_encryption=dbforpostgresql.DataEncryptionArgs(
            type="AzureKeyVault",
            primary_key_uri=keys.data.key.key_uri_with_version,
            primary_user_assigned_identity_id=keys.data.identity.id,
            # Backups in another place are encrypted by a key that is there.
            geo_backup_key_uri=keys.backups.key.key_uri_with_version if keys.backups else None,
            geo_backup_user_assigned_identity_id=keys.backups.identity.id if keys.backups else None,
        ),
        maintenance_window=dbforpostgresql.MaintenanceWindowArgs(
            custom_window="Enabled", day_of_week=0, start_hour=3, start_minute=0
        ),
        tags=context.tags,
        # Storage grows by itself; the servers of a pair change places.
        opts=context.options(
            protect=sizes.deletion_protection, ignore=["storage.storageSizeGB", "availabilityZone"], after=grants
        ),
    )
    if sizes.deletion_protection:
        authorization.ManagementLockByScope(
            name,
            lock_name="data",
            scope=server.id,
            level="CanNotDelete",
            notes="Holds the platform's data: remove this lock before it is deleted",
            opts=context.options(),
        )
    return server


def tier_of(machine: str) -> str:
    """Return the tier that a size is of, which Azure wants to hear beside its name."""
    return _TIERS.get(machine.removeprefix("Standard_")[:1], "MemoryOptimized")


def _encrypting(keys: Keys) -> list[pulumi.Output[str]]:
    return [each.identity.id for each in (keys.data, keys.backups) if each is not None]


def _settings(context: Context, name: str, server: dbforpostgresql.Server) -> None:
    values = {"require_secure_transport": "on", "azure.extensions": "PG_STAT_STATEMENTS"}
    before: list[dbforpostgresql.Configuration] = []
    for setting, value in values.items():
        # A server takes one change at a time.
        made = dbforpostgresql.Configuration(
            f"{name}-{setting}",
            configuration_name=setting,
            value=value,
            source="user-override",
            server_name=server.name,
            resource_group_name=context.group_name,
            opts=context.options(after=before),
        )
        before = [made]
    dbforpostgresql.Database(
        name,
        database_name=name,
        charset="UTF8",
        collation="en_US.utf8",
        server_name=server.name,
        resource_group_name=context.group_name,
        opts=context.options(protect=context.config.database.deletion_protection, after=before),
    )
