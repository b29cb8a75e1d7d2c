"""What a stack on Google Cloud is told beyond what every cloud is."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from flyteform_platform.clouds.config import CloudConfig, CloudSettings, Digest
from flyteform_platform.config import Role, Section

Member = Annotated[str, Field(pattern=r"^(user|group|serviceAccount):[^@\s]+@[^@\s]+$")]
# Zones of regions that have no a, b and c.
_LETTERS: Final = {
    "": ("a", "b", "c"),
    "europe-west1": ("b", "c", "d"),
    "us-east1": ("b", "c", "d"),
    "us-central1": ("a", "b", "c"),
}


class Costs(Section):
    """When to be told of what it costs: at 80 and 100 percent of `monthly_usd`. `account` is the billing account."""

    account: str = Field(default="", pattern=r"^([0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6})?$")
    monthly_usd: int = Field(default=0, ge=0)


class Quotas(Section):
    """Quotas of the region that the project must have; 0: do not ask."""

    cpus: int = Field(default=0, ge=0)
    l4_gpus: int = Field(default=0, ge=0)


class GcpSettings(CloudSettings):
    """The project and region, who administers the cluster, and what only Google Cloud has.

    `number` is the project's number, which names of workload identities contain. `security_group` is the group
    `gke-security-groups@<domain>` whose member groups RBAC may name. `token_image` has `gcloud`, by digest: it gets the
    control plane's tokens for its databases, which have no passwords. `zones` are letters, where they are not those
    that the region is known to have. `flex_start` names pools with GPUs whose nodes are waited for, up to a week each.
    """

    project: str = Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")
    number: str = Field(pattern=r"^[0-9]{6,14}$")
    region: str = Field(pattern=r"^[a-z]+-[a-z]+[0-9]+$")
    zones: tuple[Annotated[str, Field(pattern="^[a-z]$")], ...] = ()
    administrators: tuple[Member, ...] = ()
    security_group: str = ""
    channel: str = Field(default="REGULAR", pattern="^(RAPID|REGULAR|STABLE|EXTENDED)$")
    token_image: Digest = ""
    flex_start: tuple[str, ...] = ()
    log_days: int = Field(default=30, ge=1)
    alarm_emails: tuple[str, ...] = ()
    backups: bool = False
    costs: Costs = Costs()
    quotas: Quotas = Quotas()


class GcpConfig(CloudConfig):
    """The configuration of a stack on Google Cloud."""

    section = "gcp"
    # Whoever calls the API server is known to IAM.
    guarded = True
    gcp: GcpSettings

    @model_validator(mode="after")
    def _tokens(self) -> Self:
        if any(self.has(role) for role in (Role.BASE, Role.CONTROL_PLANE)) and not self.gcp.token_image:
            raise ValueError("gcp.tokenImage is missing: the databases are reached by tokens that it gets")
        pools = {pool.name: pool for pool in self.node_pools}
        for index, name in enumerate(self.gcp.flex_start):
            if name not in pools or not pools[name].gpus or pools[name].spot or pools[name].minimum:
                raise ValueError(
                    f"gcp.flexStart[{index}]: {name} has to be a pool with GPUs, minimum: 0, and without spot"
                )
        return self

    def durable(self) -> dict[str, bool]:
        """Return what production needs: backups, and people who hear of trouble."""
        return {
            "gcp.backups: true": self.gcp.backups,
            "gcp.alarmEmails": bool(self.gcp.alarm_emails),
            "gcp.costs.account": bool(self.gcp.costs.account),
            "gcp.costs.monthlyUsd": self.gcp.costs.monthly_usd > 0,
            "gcp.securityGroup": bool(self.gcp.security_group),
        }

    def zone_names(self) -> tuple[str, ...]:
        """Return the zones that are named, or those that the region has."""
        letters = self.gcp.zones or _LETTERS.get(self.gcp.region, _LETTERS[""])
        return tuple(f"{self.gcp.region}-{letter}" for letter in letters)

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones of nodes."""
        return self.zone_names()[: self.network.zones]

    def account_email(self, name: str) -> str:
        """Return the address of a service account of the platform."""
        return f"{self.account_id(name)}@{self.gcp.project}.iam.gserviceaccount.com"

    def account_id(self, name: str) -> str:
        """Return a service account's id: at most 30 characters."""
        return f"{self.name[:16].rstrip('-')}-{name}"

    def workload(self, namespace: str, service_account: str) -> str:
        """Return the principal of a Kubernetes service account of this project's clusters."""
        pool = f"projects/{self.gcp.number}/locations/global/workloadIdentityPools/{self.gcp.project}.svc.id.goog"
        return f"principal://iam.googleapis.com/{pool}/subject/ns/{namespace}/sa/{service_account}"
