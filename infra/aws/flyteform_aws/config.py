"""What a stack on AWS is told beyond what every cloud is."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from flyteform_platform.config import PlatformConfig, Role, Section

Arn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/.+$")]
LETTERS = "abc"


class Costs(Section):
    """When to be told of what it costs: `emails` hear of 80 percent of `monthly_usd` spent, and of 100 expected."""

    monthly_usd: int = Field(default=0, ge=0)
    emails: tuple[str, ...] = ()


class Quotas(Section):
    """Service quotas that the account must have, in vCPUs; what is higher already is left alone. 0: do not ask."""

    on_demand_vcpus: int = Field(default=0, ge=0)
    spot_vcpus: int = Field(default=0, ge=0)
    gpu_vcpus: int = Field(default=0, ge=0)


class AwsSettings(Section):
    """The account and region, who administers the cluster, and what only AWS has.

    `database_certificates` is the PEM text of the region's RDS certificate bundle; without it connections to the
    databases are encrypted, and whom they reach is not proved. `log_days` is how long CloudWatch keeps logs.
    """

    account: str = Field(pattern=r"^[0-9]{12}$")
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")
    kubernetes: str = Field(default="1.34", pattern=r"^1\.[0-9]{2}$")
    administrators: tuple[Arn, ...] = ()
    database_certificates: str = ""
    private_endpoints: bool = True
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


class AwsConfig(PlatformConfig):
    """The configuration of a stack on AWS."""

    aws: AwsSettings

    @model_validator(mode="after")
    def _cluster(self) -> Self:
        if not self.has(Role.BASE):
            return self
        if not self.aws.administrators:
            raise ValueError("aws.administrators is empty: nobody could reach the cluster, its creator has no rights")
        if not any(pool.system for pool in self.node_pools):
            raise ValueError("nodePools has no pool with system: true, where the platform's own pods run")
        if not self.network.private_api and not self.network.administrators:
            raise ValueError("network.administrators is empty: a public API server needs the CIDRs that may reach it")
        return self

    @model_validator(mode="after")
    def _durable(self) -> Self:
        if not (self.is_production and self.has(Role.BASE)):
            return self
        missing = {
            "aws.databaseCertificates": bool(self.aws.database_certificates),
            "aws.backups: true": self.aws.backups,
            "aws.alarmEmails": bool(self.aws.alarm_emails),
            "aws.costs.monthlyUsd": self.aws.costs.monthly_usd > 0,
        }
        if wrong := [text for text, there in missing.items() if not there]:
            raise ValueError("the preset prod needs " + "; ".join(wrong))
        return self

    @property
    def zones(self) -> tuple[str, ...]:
        """The availability zones, by name."""
        return tuple(f"{self.aws.region}{letter}" for letter in LETTERS[: self.network.zones])

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of something in this account and region."""
        return f"arn:{self.aws.partition}:{service}:{self.aws.region}:{self.aws.account}:{resource}"


def is_arm(machine: str) -> bool:
    """Tell whether an instance type has Graviton processors: `m7g.large`, `c7gn.xlarge`."""
    return re.match(r"^[a-z]+[0-9]+g", machine) is not None
