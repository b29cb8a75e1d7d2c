"""What every part of the program is handed: the configuration, and how resources are made by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi_aws as aws

from flyteform_platform.clouds.context import CloudContext, labels_of

if TYPE_CHECKING:
    from flyteform_aws.config import AwsConfig


@dataclass(frozen=True)
class Context(CloudContext["AwsConfig", aws.Provider]):
    """The stack's configuration, and the provider that makes its resources."""

    @classmethod
    def of(cls, config: AwsConfig) -> Context:
        """Return the context: one account and region, refused elsewhere, and tags on everything."""
        provider = aws.Provider(
            "aws",
            region=config.aws.region,
            allowed_account_ids=[config.aws.account],
            default_tags=aws.ProviderDefaultTagsArgs(tags=labels_of(config)),
        )
        return cls(config, provider)

    def named(self, *parts: str, **more: str) -> dict[str, str]:
        """Return the tags of something that has no name but by its tag."""
        return {"Name": self.name(*parts), **more}


Json = dict[str, Any]
