"""What every part of the program is handed: the configuration, and how resources are made by it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pulumi_azure_native as azure
from pulumi_azure_native import authorization, resources

import pulumi
from flyteform_platform.clouds.context import CloudContext, labels_of

if TYPE_CHECKING:
    from flyteform_azure.config import AzureConfig

# Built-in roles, by Azure's own ids.
BLOB_CONTRIBUTOR: Final = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
BLOB_READER: Final = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
BLOB_DELEGATOR: Final = "db58b8e5-c6ad-4a2a-8342-4190687cbf4a"
NETWORK_CONTRIBUTOR: Final = "4d97b98b-1d4f-4787-a291-c67834d212e7"
DNS_CONTRIBUTOR: Final = "befefa01-2a29-4197-83a8-272ff33ce314"
KEY_USER: Final = "e147488a-f6f5-4113-8e2d-b22465e65bf6"
VAULT_CONTRIBUTOR: Final = "f25e0fa2-a7c8-4377-a976-54943a77a395"
SECRETS_USER: Final = "4633458b-17de-408a-b874-0445c86b69e6"
METRICS_READER: Final = "b0d8363b-8ddd-447d-831f-62ca05bff136"
PULL: Final = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
CLUSTER_ADMIN: Final = "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b"
CLUSTER_USER: Final = "4abbcc35-e782-43d8-92c5-2d3f1bd2253f"


@dataclass(frozen=True)
class Context(CloudContext["AzureConfig", azure.Provider]):
    """The stack's configuration, the provider and the group of its resources."""

    group: resources.ResourceGroup

    @classmethod
    def of(cls, config: AzureConfig) -> Context:
        """Return the context: one subscription, and one group that holds everything."""
        provider = azure.Provider(
            "azure",
            subscription_id=config.azure.subscription,
            tenant_id=config.azure.tenant,
            location=config.azure.location,
            # Names are ours, so that reviewers and alarms find them.
            disable_pulumi_partner_id=True,
        )
        options = pulumi.ResourceOptions(provider=provider, protect=config.is_production or None)
        group = resources.ResourceGroup(
            "group",
            resource_group_name=config.group,
            location=config.azure.location,
            tags=labels_of(config),
            opts=options,
        )
        return cls(config, provider, group)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of everything that can have some."""
        return labels_of(self.config)

    @property
    def group_name(self) -> pulumi.Output[str]:
        """The group's name, once it is there."""
        return self.group.name

    def assign(
        self,
        name: str,
        principal: pulumi.Input[str],
        role: str,
        scope: pulumi.Input[str],
        *,
        condition: str = "",
        kind: str = "ServicePrincipal",
    ) -> authorization.RoleAssignment:
        """Give a role on a scope, to an identity of Azure unless the kind says otherwise."""
        return authorization.RoleAssignment(
            name,
            # The same name each time, so that nothing is assigned twice.
            role_assignment_name=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.config.name}/{name}")),
            principal_id=principal,
            principal_type=kind,
            role_definition_id=self.config.role(role),
            scope=scope,
            condition=condition or None,
            condition_version="2.0" if condition else None,
            opts=self.options(),
        )
