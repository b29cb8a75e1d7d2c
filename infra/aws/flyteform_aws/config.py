"""What a stack on AWS is told beyond what every cloud is."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field

from flyteform_platform.clouds.config import CloudConfig, CloudSettings
from flyteform_platform.config import Section

Arn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/.+$")]
# Zones of regions that have no a, b and c for every account.
_LETTERS: Final = {
    "": ("a", "b", "c"),
    "ap-northeast-1": ("a", "c", "d"),
    "ca-central-1": ("a", "b", "d"),
    "us-west-1": ("a", "c"),
}


class Costs(Section):
    """When to be told of what it costs: `emails` hear of 80 percent of `monthly_usd` spent, and of 100 expected.

    `allocation_tag` splits the bill by the tag `platform`: in the account that pays, once the tag was on a bill.
    """

    monthly_usd: int = Field(default=0, ge=0)
    allocation_tag: bool = False
    emails: tuple[str, ...] = ()


class Quotas(Section):
    """Service quotas that the account must have, in vCPUs; what is higher already is left alone. 0: do not ask."""

    on_demand_vcpus: int = Field(default=0, ge=0)
    spot_vcpus: int = Field(default=0, ge=0)
    gpu_vcpus: int = Field(default=0, ge=0)


class AwsSettings(CloudSettings):
    """The account and region, who administers the cluster, and what only AWS has.

    `zones` are the letters of the region's availability zones, where the account's are not those that most have.
    `database_certificates` is the PEM text of the region's RDS certificate bundle; without it connections to the
    databases are encrypted, and whom they reach is not proved. `database_proxy` pools connections before the databases,
    with certificates of public authorities. `managed_monitoring` keeps metrics in Amazon's Prometheus and shows them in
    its Grafana. `log_days` is how long CloudWatch keeps logs.
    """

    account: str = Field(pattern=r"^[0-9]{12}$")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")
    zones: tuple[Annotated[str, Field(pattern="^[a-z]$")], ...] = ()
    kubernetes: str = Field(default="1.35", pattern=r"^1\.[0-9]{2}$")
    administrators: tuple[Arn, ...] = ()
    database_certificates: str = ""
    database_proxy: bool = False
    private_endpoints: bool = True
    managed_monitoring: bool = False
    backups: bool = False
    log_days: int = Field(default=30, ge=1)
    alarm_emails: tuple[str, ...] = ()
    costs: Costs = Costs()
    quotas: Quotas = Quotas()

    @property
    def partition(self) -> str:
        """The first part of ARNs."""
        names = {"cn": "aws-cn", "us-gov": "aws-us-gov"}
        return next((name for prefix, name in names.items() if self.region.startswith(f"{prefix}-")), "aws")


class AwsConfig(CloudConfig):
    """The configuration of a stack on AWS."""

    section = "aws"
    aws: AwsSettings

    def durable(self) -> dict[str, bool]:
        """Return what production needs: proof of whom it reaches, backups, and people who hear of trouble."""
        return {
            "aws.databaseCertificates, or aws.databaseProxy: true": bool(self.aws.database_certificates)
            or self.aws.database_proxy,
            "aws.backups: true": self.aws.backups,
            "aws.alarmEmails": bool(self.aws.alarm_emails),
            "aws.costs.monthlyUsd": self.aws.costs.monthly_usd > 0,
        }

    def zone_names(self) -> tuple[str, ...]:
        """Return the zones that are named, or those that most accounts have in the region."""
        letters = self.aws.zones or _LETTERS.get(self.aws.region, _LETTERS[""])
        return tuple(f"{self.aws.region}{letter}" for letter in letters)

    @property
    def zones(self) -> tuple[str, ...]:
        """The availability zones that are used, by name."""
        return self.zone_names()[: self.network.zones]

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of something in this account and region."""
        return f"arn:{self.aws.partition}:{service}:{self.aws.region}:{self.aws.account}:{resource}"


def is_arm(machine: str) -> bool:
    """Tell whether an instance type has Graviton processors: `m7g.large`, `c7gn.xlarge`."""
    return re.match(r"^[a-z]+[0-9]+g", machine) is not None
