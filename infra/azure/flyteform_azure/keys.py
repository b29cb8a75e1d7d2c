"""The vault and its key: what encrypts storage, databases and images, and who may use it for that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_azure_native import authorization, keyvault, managedidentity

from flyteform_azure.context import KEY_USER
from flyteform_azure.network import private_endpoint

if TYPE_CHECKING:
    from flyteform_azure.context import Context
    from flyteform_azure.network import Network

VAULTS = "privatelink.vaultcore.azure.net"


@dataclass(frozen=True, slots=True)
class Key:
    """A key, the vault that it is in, and the identity in whose name Azure's services use it."""

    vault: keyvault.Vault
    key: keyvault.Key
    identity: managedidentity.UserAssignedIdentity
    grant: authorization.RoleAssignment


@dataclass(frozen=True, slots=True)
class Keys:
    """What encrypts data here, the cluster's secrets (a key of the same vault), and backups in another location."""

    data: Key
    cluster: keyvault.Key
    backups: Key | None


def make_keys(context: Context, network: Network) -> Keys:
    """Make them. What is encrypted by a deleted key is lost: vaults keep deleted ones for 90 days."""
    settings = context.config.azure
    data = _make(context, network, ("vault", "data", "encryption"), "kv", settings.location)
    backups = None
    if settings.backup_location:
        names = ("backup-vault", "backups", "backup-encryption")
        backups = _make(context, network, names, "kb", settings.backup_location)
    return Keys(data, _key(context, "cluster", data.vault), backups)


def _make(context: Context, network: Network, names: tuple[str, str, str], kind: str, location: str) -> Key:
    vault_name, key_name, identity_name = names
    vault = _vault(context, vault_name, kind, location)
    private_endpoint(context, vault_name, vault.id, "vault", VAULTS, network)
    key = _key(context, key_name, vault)
    identity = make_identity(context, identity_name, location)
    return Key(vault, key, identity, context.assign(identity_name, identity.principal_id, KEY_USER, vault.id))


def _vault(context: Context, name: str, kind: str, location: str) -> keyvault.Vault:
    config = context.config
    return keyvault.Vault(
        name,
        vault_name=config.worldwide(kind),
        resource_group_name=context.group_name,
        location=location,
        properties=keyvault.VaultPropertiesArgs(
            tenant_id=config.azure.tenant,
            sku=keyvault.SkuArgs(family="A", name=keyvault.SkuName.STANDARD),
            enable_rbac_authorization=True,
            enable_purge_protection=True,
            enable_soft_delete=True,
            soft_delete_retention_in_days=90,
            public_network_access="Disabled",
            network_acls=keyvault.NetworkRuleSetArgs(bypass="AzureServices", default_action="Deny"),
        ),
        tags=context.tags,
        opts=context.options(protect=config.storage.deletion_protection),
    )


def _key(context: Context, name: str, vault: keyvault.Vault) -> keyvault.Key:
    rotation = keyvault.RotationPolicyArgs(
        attributes=keyvault.KeyRotationPolicyAttributesArgs(expiry_time="P2Y"),
        lifetime_actions=[
            keyvault.LifetimeActionArgs(
                action=keyvault.ActionArgs(type=keyvault.KeyRotationPolicyActionType.ROTATE),
                trigger=keyvault.TriggerArgs(time_after_create="P1Y"),
            )
        ],
    )
    return keyvault.Key(
        name,
        key_name=name,
        vault_name=vault.name,
        resource_group_name=context.group_name,
        properties=keyvault.KeyPropertiesArgs(kty="RSA", key_size=3072, rotation_policy=rotation),
        opts=context.options(protect=context.config.storage.deletion_protection),
    )


def make_identity(context: Context, name: str, location: str = "") -> managedidentity.UserAssignedIdentity:
    """Make an identity, where everything else is unless another place is named."""
    return managedidentity.UserAssignedIdentity(
        name,
        resource_name_=context.name(name),
        resource_group_name=context.group_name,
        location=location or context.config.azure.location,
        tags=context.tags,
        opts=context.options(),
    )
