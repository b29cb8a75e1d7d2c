"""Options of resources: which provider's release they need, and what implied resources take over."""

from __future__ import annotations

from importlib.metadata import version

import pulumi


def with_version(opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    """Ask the engine for the provider of this release."""
    return pulumi.ResourceOptions.merge(pulumi.ResourceOptions(version=version("flyteform")), opts)


def inherited(opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    """Return what holds for the resources that one implies as well: where they go, what goes before, how they end."""
    if opts is None:
        return pulumi.ResourceOptions()
    return pulumi.ResourceOptions(
        parent=opts.parent,
        provider=opts.provider,
        depends_on=opts.depends_on,
        protect=opts.protect,
        retain_on_delete=opts.retain_on_delete,
        deleted_with=opts.deleted_with,
        replace_with=opts.replace_with,
    )
