"""What every part of the program is handed: the configuration, and how resources are made by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi_gcp as gcp
from pulumi_gcp import projects

import pulumi
from flyteform_platform.clouds.context import CloudContext, labels_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform_gcp.config import GcpConfig

_APIS = (
    "artifactregistry",
    "billingbudgets",
    "certificatemanager",
    "cloudkms",
    "cloudquotas",
    "cloudresourcemanager",
    "compute",
    "container",
    "dns",
    "gkebackup",
    "gkehub",
    "iam",
    "iamcredentials",
    "logging",
    "monitoring",
    "secretmanager",
    "servicenetworking",
    "sqladmin",
    "storage",
)


@dataclass(frozen=True)
class Context(CloudContext["GcpConfig", gcp.Provider]):
    """The stack's configuration, the provider that makes its resources, and the APIs that have to be on before."""

    services: tuple[projects.Service, ...]

    @classmethod
    def of(cls, config: GcpConfig) -> Context:
        """Return the context: one project and region, and labels on everything."""
        provider = gcp.Provider(
            "gcp",
            project=config.gcp.project,
            region=config.gcp.region,
            default_labels=labels_of(config),
            # Budgets and quotas are asked for in the project's name.
            user_project_override=True,
            billing_project=config.gcp.project,
        )
        services = tuple(
            projects.Service(
                name,
                service=f"{name}.googleapis.com",
                # Others in the project may use it as well.
                disable_on_destroy=False,
                opts=pulumi.ResourceOptions(provider=provider),
            )
            for name in _APIS
        )
        return cls(config, provider, services)

    def before(self) -> Sequence[pulumi.Resource]:
        """Return the APIs."""
        return self.services
