"""What every part of a cloud's program is handed: the configuration, and how resources are made by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import pulumi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform_platform.clouds.config import CloudConfig

Config = TypeVar("Config", bound="CloudConfig")
Provider = TypeVar("Provider", bound=pulumi.ProviderResource)


@dataclass(frozen=True)
class CloudContext(Generic[Config, Provider]):
    """The stack's configuration, and the provider that makes its resources. A cloud adds its own by a subclass."""

    config: Config
    provider: Provider

    def name(self, *parts: str) -> str:
        """Return the name of something in the cloud: it begins with the platform's."""
        return "-".join((self.config.name, *parts))

    def before(self) -> Sequence[pulumi.Resource]:
        """Return what every resource is made after."""
        return ()

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
            depends_on=[*self.before(), *after] or None,
        )


def labels_of(config: CloudConfig) -> dict[str, str]:
    """Return the labels or tags of everything that a stack makes."""
    return {"platform": config.name, "environment": str(config.preset), "managed-by": "flyteform", **config.tags}
