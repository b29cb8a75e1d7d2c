"""The program of a stack on Google Cloud: what its roles ask for, made here or taken from the stacks that it names."""

from __future__ import annotations

import pulumi
from flyteform_gcp.config import GcpConfig
from flyteform_gcp.edge import policies
from flyteform_gcp.foundation import Base, make_base, skeleton
from flyteform_gcp.secrets import secrets_of
from flyteform_platform.clouds.secrets import secret_store
from flyteform_platform.config import Role, read_config
from flyteform_platform.platform import install
from flyteform_platform.references import export, imported


def deploy() -> None:
    """Make the stack."""
    config = read_config(GcpConfig)
    base = _base(config)
    if not any(config.has(role) for role in (Role.PLATFORM, Role.CONTROL_PLANE, Role.DATA_PLANE)):
        return
    platform = install(config, base.foundation, after=base.after)
    if platform.addons is not None and config.addons.has_secrets:
        secret_store(config, secrets_of(config), platform.provider, platform.addons.made)
    if platform.control_plane is not None:
        policies(config, platform.provider, [platform.control_plane])


def _base(config: GcpConfig) -> Base:
    if config.has(Role.BASE):
        base = make_base(config)
        export(base.foundation)
        return base
    return Base(imported(pulumi.StackReference(config.stacks.base), skeleton(config)))
