"""What every part of the program is handed: the configuration, and how resources are made by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi_aws as aws

import pulumi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform_aws.config import AwsConfig


@dataclass(frozen=True, slots=True)
class Context:
    """The stack's configuration, and the provider that makes its resources."""

    config: AwsConfig
    provider: aws.Provider

    @classmethod
    def of(cls, config: AwsConfig) -> Context:
        """Return the context: one account and region, refused elsewhere, and tags on everything."""
        tags = {"platform": config.name, "environment": str(config.preset), "managed-by": "flyteform", **config.tags}
        provider = aws.Provider(
            "aws",
            region=config.aws.region,
            allowed_account_ids=[config.aws.account],
            default_tags=aws.ProviderDefaultTagsArgs(tags=tags),
        )
        return cls(config, provider)

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
            depends_on=list(after) or None,
        )

    def named(self, *parts: str, **more: str) -> dict[str, str]:
        """Return the tags of something that has no name but by its tag."""
        return {"Name": self.name(*parts), **more}


Json = dict[str, Any]
