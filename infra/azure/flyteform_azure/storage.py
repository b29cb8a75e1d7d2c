"""The storage account with its two containers: metadata of the control plane, and raw data of tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_azure_native import authorization, storage

from flyteform_azure.network import private_endpoint

if TYPE_CHECKING:
    from flyteform_azure.context import Context
    from flyteform_azure.keys import Keys
    from flyteform_azure.network import Network

CONTAINERS = ("metadata", "raw")


@dataclass(frozen=True, slots=True)
class Storage:
    """The account, and its containers by name."""

    account: storage.StorageAccount
    containers: dict[str, storage.BlobContainer]


def make_storage(context: Context, network: Network, keys: Keys) -> Storage:
    """Make the account: reached from the network alone, by identities alone."""
    config = context.config
    account = storage.StorageAccount(
        "storage",
        account_name=config.worldwide("st"),
        resource_group_name=context.group_name,
        location=config.azure.location,
        kind="StorageV2",
        sku=storage.SkuArgs(name="Standard_ZRS" if config.network.zones > 1 else "Standard_LRS"),
        access_tier=storage.AccessTier.HOT,
        allow_blob_public_access=False,
        allow_shared_key_access=False,
        allow_cross_tenant_replication=False,
        default_to_o_auth_authentication=True,
        minimum_tls_version="TLS1_2",
        enable_https_traffic_only=True,
        public_network_access="Disabled",
        network_rule_set=storage.NetworkRuleSetArgs(default_action=storage.DefaultAction.DENY, bypass="AzureServices"),
        # Versions and a hierarchical namespace exclude each other; versions it is.
        is_hns_enabled=False,
        sas_policy=storage.SasPolicyArgs(expiration_action="Log", sas_expiration_period="01.00:00:00"),
        identity=storage.IdentityArgs(type="UserAssigned", user_assigned_identities=[keys.data.identity.id]),
        encryption=storage.EncryptionArgs(
            key_source="Microsoft.Keyvault",
            require_infrastructure_encryption=True,
            key_vault_properties=storage.KeyVaultPropertiesArgs(
                key_name=keys.data.key.name,
                key_vault_uri=keys.data.vault.properties.apply(lambda found: str(found.vault_uri)),
            ),
            encryption_identity=storage.EncryptionIdentityArgs(encryption_user_assigned_identity=keys.data.identity.id),
        ),
        tags=context.tags,
        opts=context.options(protect=config.storage.deletion_protection, after=[keys.data.grant]),
    )
    private_endpoint(context, "blob", account.id, "blob", "privatelink.blob.core.windows.net", network)
    days = 30 if config.is_production else 7
    storage.BlobServiceProperties(
        "blobs",
        account_name=account.name,
        blob_services_name="default",
        resource_group_name=context.group_name,
        is_versioning_enabled=config.storage.versioning,
        delete_retention_policy=storage.DeleteRetentionPolicyArgs(enabled=True, days=days),
        container_delete_retention_policy=storage.DeleteRetentionPolicyArgs(enabled=True, days=days),
        change_feed=storage.ChangeFeedArgs(enabled=config.is_production),
        opts=context.options(),
    )
    _lifecycle(context, account)
    if config.storage.deletion_protection:
        _lock(context, account)
    return Storage(account, {name: _container(context, account, name) for name in CONTAINERS})


def _container(context: Context, account: storage.StorageAccount, name: str) -> storage.BlobContainer:
    return storage.BlobContainer(
        name,
        container_name=name,
        account_name=account.name,
        resource_group_name=context.group_name,
        public_access=storage.PublicAccess.NONE,
        opts=context.options(protect=context.config.storage.deletion_protection),
    )


def _lifecycle(context: Context, account: storage.StorageAccount) -> None:
    settings = context.config.storage
    versions = storage.ManagementPolicyVersionArgs(
        delete=storage.DateAfterCreationArgs(days_after_creation_greater_than=settings.noncurrent_days)
    )
    rules = [_rule("versions", [], storage.ManagementPolicyActionArgs(version=versions))]
    raw = storage.ManagementPolicyBaseBlobArgs(
        tier_to_cool=storage.DateAfterModificationArgs(days_after_modification_greater_than=settings.raw_tiering_days)
        if settings.raw_tiering_days
        else None,
        delete=storage.DateAfterModificationArgs(days_after_modification_greater_than=settings.raw_expiry_days)
        if settings.raw_expiry_days
        else None,
    )
    if settings.raw_tiering_days or settings.raw_expiry_days:
        rules.append(_rule("raw", ["raw/raw/"], storage.ManagementPolicyActionArgs(base_blob=raw)))
    storage.ManagementPolicy(
        "lifecycle",
        account_name=account.name,
        management_policy_name="default",
        resource_group_name=context.group_name,
        policy=storage.ManagementPolicySchemaArgs(rules=rules),
        opts=context.options(),
    )


def _rule(
    name: str, prefixes: list[str], actions: storage.ManagementPolicyActionArgs
) -> storage.ManagementPolicyRuleArgs:
    filters = storage.ManagementPolicyFilterArgs(blob_types=["blockBlob"], prefix_match=prefixes or None)
    return storage.ManagementPolicyRuleArgs(
        name=name,
        enabled=True,
        type="Lifecycle",
        definition=storage.ManagementPolicyDefinitionArgs(actions=actions, filters=filters),
    )


def _lock(context: Context, account: storage.StorageAccount) -> None:
    authorization.ManagementLockByScope(
        "storage",
        lock_name="data",
        scope=account.id,
        level="CanNotDelete",
        notes="Holds the platform's data: remove this lock before it is deleted",
        opts=context.options(),
    )
