"""What a stack on Azure is told beyond what every cloud is."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from flyteform_platform.clouds.config import CloudConfig, CloudSettings, Digest
from flyteform_platform.config import Role, Section

Guid = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]


class Costs(Section):
    """When to be told of what it costs: `emails` hear at 80 and 100 percent of `monthly` in the account's currency."""

    monthly: int = Field(default=0, ge=0)
    since: str = Field(default="2026-01-01", pattern=r"^[0-9]{4}-[0-9]{2}-01$")
    emails: tuple[str, ...] = ()


class AzureSettings(CloudSettings):
    """The subscription and place, who administers the cluster, and what only Azure has.

    `administrators` are object ids of groups in Entra. `suffix` ends names that are the whole world's (accounts of
    storage, vaults, registries). `token_image` has `az`, by digest: it gets the control plane's tokens for its
    databases, which have no passwords. Certificates are proved in the DNS zone `edge.dnsZone` of the group `dns_group`;
    `acme_email` is whom their authority writes to. Databases are backed up in `backup_location`, which Azure pairs
    with the location, by a key that is there. `quotas` are vCPUs that the subscription must have, by family.
    """

    subscription: Guid
    tenant: Guid
    location: str = Field(pattern=r"^[a-z0-9]+$")
    suffix: str = Field(pattern=r"^[a-z0-9]{3,8}$")
    kubernetes: str = Field(default="1.35", pattern=r"^1\.[0-9]{2}$")
    administrators: tuple[Guid, ...] = ()
    token_image: Digest = ""
    dns_group: str = ""
    acme_email: str = ""
    backup_location: str = Field(default="", pattern=r"^[a-z0-9]*$")
    quotas: dict[str, int] = Field(default_factory=dict)
    log_days: int = Field(default=30, ge=30, le=730)
    costs: Costs = Costs()


class AzureConfig(CloudConfig):
    """The configuration of a stack on Azure."""

    section = "azure"
    azure: AzureSettings

    @model_validator(mode="after")
    def _tokens(self) -> Self:
        if any(self.has(role) for role in (Role.BASE, Role.CONTROL_PLANE)) and not self.azure.token_image:
            raise ValueError("azure.tokenImage is missing: the databases are reached by tokens that it gets")
        if not (
            self.edge.certificate_secret or (self.edge.dns_zone and self.azure.dns_group and self.azure.acme_email)
        ):
            raise ValueError(
                "edge.certificateSecret, or edge.dnsZone with azure.dnsGroup and azure.acmeEmail, is missing"
            )
        return self

    def durable(self) -> dict[str, bool]:
        """Return what production needs: another place for backups, and people who hear of trouble."""
        return {
            "azure.backupLocation, the location's pair": bool(self.azure.backup_location),
            "azure.costs.monthly": self.azure.costs.monthly > 0,
            "azure.costs.emails": bool(self.azure.costs.emails),
        }

    @property
    def zones(self) -> list[str]:
        """The availability zones, by number."""
        return [str(number) for number in range(1, self.network.zones + 1)]

    @property
    def group(self) -> str:
        """The resource group's name."""
        return self.name

    @property
    def issues_certificates(self) -> bool:
        """Whether certificates are got by this platform."""
        return not self.edge.certificate_secret

    @property
    def keeps_secrets(self) -> bool:
        """Whether tasks have secrets, which external-secrets reads for them."""
        return any(project.secrets for project in self.projects)

    def worldwide(self, kind: str) -> str:
        """Return a name that nobody else in the world has: letters and digits, at most 24."""
        return f"{self.name.replace('-', '')[:12]}{kind}{self.azure.suffix}"[:24]

    def scope(self, provider: str, *names: str) -> str:
        """Return the id of a resource in the group."""
        root = f"/subscriptions/{self.azure.subscription}/resourceGroups/{self.group}"
        return "/".join((root, "providers", provider, *names))

    def role(self, guid: str) -> str:
        """Return the id of a built-in role."""
        return f"/subscriptions/{self.azure.subscription}/providers/Microsoft.Authorization/roleDefinitions/{guid}"
