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


@dataclass(frozen=True, slots=True)
class Keys:
    """The vault, its key, and the identity in whose name Azure's services use it."""

    vault: keyvault.Vault
    key: keyvault.Key
    identity: managedidentity.UserAssignedIdentity
    grant: authorization.RoleAssignment


def make_keys(context: Context, network: Network) -> Keys:
    """Make them. What is encrypted by a deleted key is lost: the vault keeps deleted ones for 90 days."""
    config = context.config
    vault = keyvault.Vault(
        "vault",
        vault_name=config.worldwide("kv"),
        resource_group_name=context.group_name,
        location=config.azure.location,
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
    private_endpoint(context, "vault", vault.id, "vault", "privatelink.vaultcore.azure.net", network)
    rotation = keyvault.RotationPolicyArgs(
        attributes=keyvault.KeyRotationPolicyAttributesArgs(expiry_time="P2Y"),
        lifetime_actions=[
            keyvault.LifetimeActionArgs(
                action=keyvault.ActionArgs(type=keyvault.KeyRotationPolicyActionType.ROTATE),
                trigger=keyvault.TriggerArgs(time_after_create="P1Y"),
            )
        ],
    )
    key = keyvault.Key(
        "data",
        key_name="data",
        vault_name=vault.name,
        resource_group_name=context.group_name,
        properties=keyvault.KeyPropertiesArgs(kty="RSA", key_size=3072, rotation_policy=rotation),
        opts=context.options(protect=config.storage.deletion_protection),
    )
    identity = make_identity(context, "encryption")
    grant = context.assign("encryption", identity.principal_id, KEY_USER, vault.id)
    return Keys(vault, key, identity, grant)


def make_identity(context: Context, name: str) -> managedidentity.UserAssignedIdentity:
    """Make an identity."""
    return managedidentity.UserAssignedIdentity(
        name,
        resource_name_=context.name(name),
        resource_group_name=context.group_name,
        location=context.config.azure.location,
        tags=context.tags,
        opts=context.options(),
    )
