"""What a stack on Google Cloud is told beyond what every cloud is."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from flyteform_platform.config import PlatformConfig, Role, Section

Member = Annotated[str, Field(pattern=r"^(user|group|serviceAccount):[^@\s]+@[^@\s]+$")]
Digest = Annotated[str, Field(pattern=r"^(|[^@\s]+@sha256:[0-9a-f]{64})$")]
LETTERS = "bcd"


class Costs(Section):
    """When to be told of what it costs: at 80 and 100 percent of `monthly_usd`. `account` is the billing account."""

    account: str = Field(default="", pattern=r"^([0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6})?$")
    monthly_usd: int = Field(default=0, ge=0)


class Quotas(Section):
    """Quotas of the region that the project must have; 0: do not ask."""

    cpus: int = Field(default=0, ge=0)
    l4_gpus: int = Field(default=0, ge=0)


class GcpSettings(Section):
    """The project and region, who administers the cluster, and what only Google Cloud has.

    `number` is the project's number, which names of workload identities contain. `security_group` is the group
    `gke-security-groups@<domain>` whose member groups RBAC may name. `token_image` has `gcloud`, by digest: it gets the
    control plane's tokens for its databases, which have no passwords.
    """

    project: str = Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")
    number: str = Field(pattern=r"^[0-9]{6,14}$")
    region: str = Field(pattern=r"^[a-z]+-[a-z]+[0-9]$")
    administrators: tuple[Member, ...] = ()
    security_group: str = ""
    channel: str = Field(default="REGULAR", pattern="^(RAPID|REGULAR|STABLE|EXTENDED)$")
    token_image: Digest = ""
    log_days: int = Field(default=30, ge=1)
    alarm_emails: tuple[str, ...] = ()
    backups: bool = False
    costs: Costs = Costs()
    quotas: Quotas = Quotas()


class GcpConfig(PlatformConfig):
    """The configuration of a stack on Google Cloud."""

    gcp: GcpSettings

    @model_validator(mode="after")
    def _cluster(self) -> Self:
        if any(self.has(role) for role in (Role.BASE, Role.CONTROL_PLANE)) and not self.gcp.token_image:
            raise ValueError("gcp.tokenImage is missing: the databases are reached by tokens that it gets")
        if not self.has(Role.BASE):
            return self
        if not self.gcp.administrators:
            raise ValueError("gcp.administrators is empty: nobody could reach the cluster")
        if not any(pool.system for pool in self.node_pools):
            raise ValueError("nodePools has no pool with system: true, where the platform's own pods run")
        return self

    @model_validator(mode="after")
    def _durable(self) -> Self:
        if not (self.is_production and self.has(Role.BASE)):
            return self
        missing = {
            "gcp.backups: true": self.gcp.backups,
            "gcp.alarmEmails": bool(self.gcp.alarm_emails),
            "gcp.costs.account": bool(self.gcp.costs.account),
            "gcp.costs.monthlyUsd": self.gcp.costs.monthly_usd > 0,
            "gcp.securityGroup": bool(self.gcp.security_group),
        }
        if wrong := [text for text, there in missing.items() if not there]:
            raise ValueError("the preset prod needs " + "; ".join(wrong))
        return self

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones of nodes."""
        return tuple(f"{self.gcp.region}-{letter}" for letter in LETTERS[: self.network.zones])

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
