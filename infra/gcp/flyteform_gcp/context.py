"""What every part of the program is handed: the configuration, and how resources are made by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi_gcp as gcp
from pulumi_gcp import projects

import pulumi

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
    "iam",
    "iamcredentials",
    "logging",
    "monitoring",
    "secretmanager",
    "servicenetworking",
    "sqladmin",
    "storage",
)


@dataclass(frozen=True, slots=True)
class Context:
    """The stack's configuration, the provider that makes its resources, and the APIs that have to be on before."""

    config: GcpConfig
    provider: gcp.Provider
    services: tuple[projects.Service, ...]

    @classmethod
    def of(cls, config: GcpConfig) -> Context:
        """Return the context: one project and region, and labels on everything."""
        labels = {"platform": config.name, "environment": str(config.preset), "managed-by": "flyteform", **config.tags}
        provider = gcp.Provider(
            "gcp",
            project=config.gcp.project,
            region=config.gcp.region,
            default_labels=labels,
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

    def name(self, *parts: str) -> str:
        """Return the name of something in the cloud: it begins with the platform's."""
        return "-".join((self.config.name, *parts))

    def options(
        self,
        *,
        protect: bool = False,
        ignore: Sequence[str] = (),
        after: Sequence[pulumi.Resource] = (),
    ) -> pulumi.ResourceOptions:
        """Return how a resource is made; a protected one is not deleted before somebody says so."""
        return pulumi.ResourceOptions(
            provider=self.provider,
            protect=protect or None,
            ignore_changes=list(ignore) or None,
            depends_on=[*self.services, *after],
        )
