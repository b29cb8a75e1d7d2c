"""The embedded platform in Pulumi programs: `Platform` stands it up on this machine."""

from flyteform_local.pulumi.resource import Platform

__all__ = ["Platform"]
